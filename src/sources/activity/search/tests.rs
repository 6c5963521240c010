use super::*;

fn index(full_text: bool, keys: &[&str]) -> Index {
    Index {
        full_text,
        keys: keys.iter().map(|k| (*k).to_owned()).collect(),
        json_texts: Default::default(),
        without_analytics: Default::default(),
        other_types: Default::default(),
        changed_at: None,
    }
}

#[test]
fn every_indexed_field_is_searched_for_every_name() {
    let uid = "100".parse().unwrap();
    let found = queries(
        &index(true, &[USERNAME, AUTHORIZATION]),
        uid,
        &BTreeSet::from(["100-17"]),
        false,
    );
    let texts: Vec<_> = found.iter().map(|search| search.query.as_str()).collect();
    assert_eq!(
        texts,
        [
            "user.username: \"100\" or user.username: \"100-17\"",
            "user.username: 100-*",
            "annotations.authorization.k8s.io/reason: \"100\" or annotations.authorization.k8s.io/reason: \"100-17\"",
            "\"100\" or \"100-17\"",
        ]
    );
}

#[test]
fn however_many_names_there_are_the_number_of_queries_is_bounded() {
    let uid = "100".parse().unwrap();
    let names: Vec<String> = (0..12_000).map(|i| format!("100-{i}")).collect();
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let index = index(false, &[USERNAME, IMPERSONATED, AUTHORIZATION]);
    let found = queries(&index, uid, &names, false);
    assert_eq!(found.len(), 3 * (EXACT_NAMES / CONDITIONS + 1) + 2);
    let terms = Terms::of(uid, &names, false);
    let finds = |name: &str| {
        let start = |term: &String| term.strip_suffix('*').is_some_and(|start| name.starts_with(start));
        terms.exact.contains(&format!("\"{name}\"")) || terms.starts.iter().any(start)
    };
    assert!(names.iter().all(|name| finds(name)));
    assert!(terms.exact.contains(&"\"100-11999\"".to_owned()), "the newest, exactly");
    assert_eq!(terms.starts.len(), 10, "{:?}", terms.starts);
}

#[test]
fn names_that_are_not_known_are_asked_for_by_the_start_of_all() {
    let uid = "100".parse().unwrap();
    let index = index(false, &[USERNAME, IMPERSONATED, AUTHORIZATION]);
    let names: Vec<String> = (10_000..11_000).map(|i| format!("100-{i}")).collect();
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    for (has_more, expected) in [(true, true), (false, false)] {
        let asks = |search: &Search| {
            let term = format!("{AUTHORIZATION}: 100-*");
            search.query.split(" or ").any(|asked| asked == term)
        };
        let found = queries(&index, uid, &names, has_more);
        assert_eq!(found.iter().any(asks), expected);
        assert!(found.iter().all(|search| search.query.matches(" or ").count() < 30));
    }
}

#[test]
fn names_of_any_letters_become_no_other_query() {
    let uid = "100".parse().unwrap();
    let long = format!("100-{}", "x".repeat(300));
    let names = BTreeSet::from(["100-a\" or *", "100-b c", "100-", "100-d*", "100-ü", "100-e:f", &long]);
    let terms = Terms::of(uid, &names, false);
    assert_eq!(terms.exact, ["\"100\"", "\"100-\""]);
    let long = format!("{}*", long.get(..WORD - 1).unwrap());
    assert_eq!(terms.starts, ["100-*", "100-a*", "100-b*", "100-d*", "100-e*", &long]);
}

#[test]
fn no_query_has_more_conditions_than_sls_takes() {
    let uid = "100".parse().unwrap();
    let names: Vec<String> = (0..99).map(|i| format!("100-{i}")).collect();
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let found = queries(&index(false, &[USERNAME]), uid, &names, false);
    let found: Vec<_> = found.into_iter().map(|search| search.query).collect();
    assert!(found.iter().all(|query| query.matches("user.username").count() <= 30));
    assert!(
        names
            .iter()
            .all(|name| found.iter().any(|query| query.contains(&format!("\"{name}\""))))
    );
}
