use super::*;

#[test]
fn many_that_are_looked_at_all_the_time_share_the_calls() {
    assert_eq!(share(1, 1200), (20, Duration::from_secs(1)));
    assert_eq!(share(4, 1200), (5, Duration::from_secs(4)));
    assert_eq!(share(60, 1200), (3, Duration::from_secs(60)));
    assert_eq!(share(1, 60), (3, Duration::from_secs(20)));
    for busy in [1, 7, 100] {
        let (_, every) = share(busy, 1200);
        let calls = 60.0 / every.as_secs_f64() * busy as f64 * f64::from(CALLS_OF_A_LOOK);
        assert!(calls <= 1200.5, "{busy} make {calls} calls a minute");
    }
}
