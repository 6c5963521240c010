use super::*;
use http::{Request, Response};
use kube::client::Body;
use std::sync::{Arc, Mutex};

/// The elements and the metadata, of a text that arrives in pieces of these lengths, over and over.
fn split(text: &str, lengths: &[usize]) -> serde_json::Result<(Vec<serde_json::Value>, ListMeta)> {
    let mut splitter = Splitter::default();
    let (mut elements, mut rest) = (Vec::new(), text.as_bytes());
    for length in lengths.iter().cycle() {
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        splitter.push(piece, &mut |element| {
            elements.push(serde_json::from_slice(element)?);
            Ok(())
        })?;
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    Ok((elements, splitter.end()?))
}

/// A random JSON value, with whatever might be taken for structure.
fn value(depth: u32) -> serde_json::Value {
    let text = || {
        let parts = [
            "\"",
            "\\",
            "}",
            "]",
            "{",
            "[",
            ",",
            ":",
            "items",
            "\u{1}",
            "ü",
            "\u{1F600}",
            "x",
            " ",
            "\n",
        ];
        (0..fastrand::usize(0..6))
            .map(|_| parts[fastrand::usize(0..parts.len())])
            .collect::<String>()
    };
    match fastrand::u32(0..if depth == 0 { 5 } else { 8 }) {
        0 => serde_json::Value::Null,
        1 => fastrand::bool().into(),
        2 => fastrand::i64(..).into(),
        3 => (f64::from(fastrand::i16(..)) / 8.0).into(),
        4 => text().into(),
        5 => (0..fastrand::usize(0..4)).map(|_| value(depth - 1)).collect(),
        _ => (0..fastrand::usize(0..4))
            .map(|_| (text(), value(depth - 1)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

#[test]
fn elements_come_out_as_they_went_in_wherever_the_pieces_end() {
    for seed in 0..2000 {
        fastrand::seed(seed);
        let items: Vec<_> = (0..fastrand::usize(0..5)).map(|_| value(3)).collect();
        let mut members = vec![
            format!("\"items\" : {}", serde_json::to_string_pretty(&items).unwrap()),
            r#""metadata":{"resourceVersion":"7","continue":"t\"}"}"#.to_owned(),
            r#""kind":"List""#.to_owned(),
            format!("\"other\":{}", value(3)),
            format!("\"more\"\n:{{\"items\":{}}}", value(2)),
        ];
        if fastrand::bool() {
            members[0] = members[0].replacen("items", "it\\u0065ms", 1);
        }
        fastrand::shuffle(&mut members);
        let text = format!(" {{ {} }}\n", members.join(" ,"));
        let lengths: Vec<_> = (0..20).map(|_| fastrand::usize(1..30)).collect();
        let (elements, metadata) = split(&text, &lengths).unwrap_or_else(|e| panic!("seed {seed}: {e}: {text}"));
        assert_eq!(elements, items, "seed {seed}: {text}");
        assert_eq!(metadata.resource_version, "7");
        assert_eq!(metadata.continue_.as_deref(), Some("t\"}"));
        // Wherever it breaks off, it is no list.
        let cut = text.trim_end().len() - 1;
        let cut = (0..=fastrand::usize(0..cut))
            .rev()
            .find(|n| text.is_char_boundary(*n))
            .unwrap();
        assert!(split(&text[..cut], &lengths).is_err(), "seed {seed}: {}", &text[..cut]);
    }
}

#[test]
fn a_list_without_items_is_empty_and_something_else_is_no_list() {
    for text in [r#"{"metadata":{}}"#, r#"{"items":null}"#, r#"{"items":[]}"#, "{}"] {
        assert!(split(text, &[3]).unwrap().0.is_empty(), "{text}");
    }
    for text in [
        "",
        "[]",
        "{",
        r#"{"items":[1,2}"#,
        r#"{"items":[1"#,
        "{}{}",
        r#"{"items":[nul]}"#,
        "x",
    ] {
        assert!(split(text, &[3]).is_err(), "{text}");
    }
}

#[test]
fn pages_shrink_with_large_objects_and_grow_again() {
    assert_eq!(next_limit(50, 50, 50 * 1300), 200);
    assert_eq!(next_limit(500, 500, 500 * 1300), 500);
    assert_eq!(next_limit(50, 50, 50 * 600_000), 6);
    assert_eq!(next_limit(6, 6, 6 * 10_000_000), 1);
    assert_eq!((next_limit(1, 1, 1000), next_limit(4, 0, 0)), (4, 16));
}

type Asked = Arc<Mutex<Vec<String>>>;

/// An API server with these answers, and what it was asked.
fn server(answers: &'static [(u16, &'static str)]) -> (Client, Asked) {
    let asked = Asked::default();
    let (seen, answers) = (asked.clone(), Arc::new(Mutex::new(answers.iter())));
    let service = tower::service_fn(move |request: Request<Body>| {
        seen.lock().unwrap().push(request.uri().to_string());
        let (status, body) = answers.lock().unwrap().next().expect("an answer");
        let answer = Response::builder()
            .status(*status)
            .body(Body::from(body.as_bytes().to_vec()));
        async move { answer }
    });
    (Client::new(service, "default"), asked)
}

const GONE: &str = r#"{"kind":"Status","code":410,"reason":"Expired","message":"expired"}"#;

#[tokio::test]
async fn an_expired_list_begins_anew_and_keeps_nothing_of_the_old_one() {
    let (client, asked) = server(&[
        (
            200,
            r#"{"metadata":{"resourceVersion":"7","continue":"a+b="},"items":[1]}"#,
        ),
        (410, GONE),
        (
            200,
            r#"{"metadata":{"resourceVersion":"8","continue":"c"},"items":[2]}"#,
        ),
        (410, GONE),
        (200, r#"{"metadata":{"resourceVersion":"9"},"items":[3,4]}"#),
    ]);
    let listed = fold(&client, "/x?a=b", Vec::new, |all: &mut Vec<u32>, one| all.push(one))
        .await
        .unwrap();
    assert_eq!((listed.value, &*listed.resource_version), (vec![3, 4], "9"));
    let asked = asked.lock().unwrap();
    assert_eq!(
        *asked,
        [
            "/x?a=b&limit=50",
            "/x?a=b&limit=200&continue=a%2Bb%3D",
            "/x?a=b&limit=50",
            "/x?a=b&limit=200&continue=c",
            "/x?a=b"
        ]
    );
}

#[tokio::test]
async fn half_a_body_is_no_list() {
    let (client, _) = server(&[(200, r#"{"metadata":{"resourceVersion":"7"},"items":[1,2"#)]);
    let listed = fold(&client, "/x", Vec::new, |all: &mut Vec<u32>, one| all.push(one)).await;
    assert!(matches!(listed, Err(Error::SerdeError(_))), "{listed:?}");
}
