use super::*;

#[test]
fn the_transition_time_moves_only_with_the_status() {
    let (t1, t2) = (Timestamp::from_second(1).unwrap(), Timestamp::from_second(2).unwrap());
    let mut list = Vec::new();
    let ready = ConditionType::Ready;
    assert!(set(
        &mut list,
        ready,
        ConditionStatus::False,
        Reason::Queued,
        "a",
        Some(1),
        t1
    ));
    assert!(set(
        &mut list,
        ready,
        ConditionStatus::False,
        Reason::Suspended,
        "b",
        Some(1),
        t2
    ));
    assert_eq!(find(&list, ready).unwrap().last_transition_time.0, t1);
    assert!(!set(
        &mut list,
        ready,
        ConditionStatus::False,
        Reason::Suspended,
        "c",
        Some(2),
        t2
    ));
    assert!(set(
        &mut list,
        ready,
        ConditionStatus::True,
        Reason::Offboarded,
        "d",
        Some(2),
        t2
    ));
    let ready = find(&list, ready).unwrap();
    assert_eq!((ready.last_transition_time.0, list.len()), (t2, 1));
}

#[test]
fn words_are_spelled_as_in_the_api() {
    for reason in Reason::ALL {
        assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
    }
    assert_eq!(Reason::KubeconfigReissued.as_str(), "KubeconfigReissued");
    assert_eq!(ConditionType::ALL.len(), 11);
}
