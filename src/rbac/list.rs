//! Lists that never are in memory as a whole.
//!
//! The elements of a list's `items` are split out of the body as it arrives, and handed on one at a time: what a list costs in
//! memory is its largest object, whoever made the others. Pages spare the API server, so they shrink when objects are large.

use futures::{AsyncBufRead, AsyncBufReadExt};
use kube::{Client, Error};
use serde::{Deserialize, de::DeserializeOwned};
use std::{borrow::Cow, io, time::Duration};

/// How much a page should hold.
const PAGE_BYTES: usize = 4 << 20;
/// How many objects the first page may hold, when nothing is known of their size.
const FIRST_PAGE: usize = 50;
/// How many objects a page may hold.
const LARGEST_PAGE: usize = 500;
/// How often a list is begun anew because its snapshot expired; the last time without pages, which cannot expire.
const ATTEMPTS: usize = 3;
/// How long the next bytes of a body may take.
const SILENCE: Duration = Duration::from_secs(30);
/// The metadata of a list is a few hundred bytes.
const LARGEST_METADATA: usize = 64 << 10;

/// What [`fold`] made of a list.
#[derive(Debug)]
pub struct Listed<S> {
    /// What the objects were folded into.
    pub value: S,
    /// The state that the list shows: where a watch goes on.
    pub resource_version: String,
}

/// Lists what `path` holds (a query may be part of it), and folds the objects, one at a time, into what `new` makes.
///
/// When the snapshot behind the pages expires, the list begins anew, with a new value.
///
/// # Errors
/// When the API server refuses, when the body ends early, or when it, or an object in it, cannot be read.
pub async fn fold<T: DeserializeOwned, S>(
    client: &Client,
    path: &str,
    new: impl Fn() -> S,
    mut each: impl FnMut(&mut S, T),
) -> Result<Listed<S>, Error> {
    let mut attempt = 1;
    loop {
        let mut value = new();
        let paged = attempt < ATTEMPTS;
        match items(client, path, paged, |object| each(&mut value, object)).await {
            Ok(resource_version) => {
                return Ok(Listed {
                    value,
                    resource_version,
                });
            }
            Err(Error::Api(status)) if status.code == 410 && paged => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

async fn items<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    paged: bool,
    mut each: impl FnMut(T),
) -> Result<String, Error> {
    let mut limit = FIRST_PAGE;
    let mut token = String::new();
    loop {
        let mut query = String::new();
        if paged {
            query = format!("{}limit={limit}", if path.contains('?') { '&' } else { '?' });
        }
        if !token.is_empty() {
            query += "&continue=";
            query.extend(percent_encoding::utf8_percent_encode(
                &token,
                percent_encoding::NON_ALPHANUMERIC,
            ));
        }
        let request = http::Request::get(format!("{path}{query}")).body(Vec::new());
        let request = request.map_err(Error::HttpError)?;
        let body = tokio::time::timeout(SILENCE, client.request_stream(request)).await;
        let body = body.map_err(|_| Error::ReadEvents(silent()))??;
        let page = read(body, &mut each).await?;
        match page.metadata.continue_ {
            Some(next) if paged && !next.is_empty() => token = next,
            _ => return Ok(page.metadata.resource_version),
        }
        limit = next_limit(limit, page.objects, page.bytes);
    }
}

/// As many of the size seen as fit in a page; at most four times as many as before.
fn next_limit(limit: usize, objects: usize, bytes: usize) -> usize {
    let each = (bytes / objects.max(1)).max(1);
    (PAGE_BYTES / each).clamp(1, LARGEST_PAGE.min(limit.saturating_mul(4)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    continue_: Option<String>,
}

struct Page {
    metadata: ListMeta,
    objects: usize,
    bytes: usize,
}

async fn read<T: DeserializeOwned>(body: impl AsyncBufRead, each: &mut impl FnMut(T)) -> Result<Page, Error> {
    let mut body = std::pin::pin!(body);
    let mut splitter = Splitter::default();
    let (mut objects, mut bytes) = (0, 0);
    loop {
        let chunk = chunk(&mut body, SILENCE).await.map_err(Error::ReadEvents)?;
        if chunk.is_empty() {
            break;
        }
        let length = chunk.len();
        bytes += length;
        splitter
            .push(chunk, &mut |element| {
                each(serde_json::from_slice(element)?);
                objects += 1;
                Ok(())
            })
            .map_err(Error::SerdeError)?;
        body.consume_unpin(length);
    }
    let metadata = splitter.end().map_err(Error::SerdeError)?;
    Ok(Page {
        metadata,
        objects,
        bytes,
    })
}

/// The next bytes of a body; none at its end.
pub(super) async fn chunk<B: AsyncBufRead + Unpin>(body: &mut B, patience: Duration) -> io::Result<&[u8]> {
    tokio::time::timeout(patience, body.fill_buf())
        .await
        .map_err(|_| silent())?
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the API server sent nothing for too long")
}

/// Splits the elements of the top-level `items` out of a JSON object that arrives in pieces. The keys may come in any order.
#[derive(Debug, Default)]
struct Splitter {
    place: Place,
    value: Value,
    /// What is read of a key, an element or the metadata.
    text: Vec<u8>,
    metadata: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the object.
    #[default]
    Start,
    /// Before a key.
    Key,
    InKey,
    Colon,
    /// Before the value of a key.
    Value(Key),
    InValue(Key),
    /// Behind a value.
    Comma,
    /// Before an element of the items.
    Element,
    InElement,
    ElementComma,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Items,
    Metadata,
    Other,
}

impl Splitter {
    /// Takes in the next piece; `each` gets every element that is complete.
    fn push(
        &mut self,
        mut piece: &[u8],
        each: &mut impl FnMut(&[u8]) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        while let Some(&byte) = piece.first() {
            if matches!(self.place, Place::InKey | Place::InValue(_) | Place::InElement) {
                let (length, ended) = self.value.take(piece);
                let (taken, rest) = piece.split_at(length);
                piece = rest;
                self.take(taken)?;
                if ended {
                    self.complete(each)?;
                }
                continue;
            }
            if !byte.is_ascii_whitespace() && self.step(byte)? {
                // It is the first byte of what follows.
                continue;
            }
            piece = piece.get(1..).unwrap_or_default();
        }
        Ok(())
    }

    /// The metadata of the list.
    fn end(self) -> serde_json::Result<ListMeta> {
        if self.place != Place::End {
            return Err(malformed("the list ended before it was complete"));
        }
        match &*self.metadata {
            [] => Ok(ListMeta::default()),
            metadata => serde_json::from_slice(metadata),
        }
    }

    /// Goes on at a byte between values. Returns whether the byte belongs to the value that begins with it.
    fn step(&mut self, byte: u8) -> serde_json::Result<bool> {
        self.place = match (self.place, byte) {
            (Place::Start, b'{') => Place::Key,
            (Place::Key | Place::Comma, b'}') => Place::End,
            (Place::Key, b'"') => return Ok(self.begin(Place::InKey)),
            (Place::Colon, b':') => Place::Value(self.key()?),
            (Place::Value(Key::Items), b'[') => Place::Element,
            (Place::Value(key), _) => return Ok(self.begin(Place::InValue(key))),
            (Place::Comma, b',') => Place::Key,
            (Place::Element | Place::ElementComma, b']') => Place::Comma,
            (Place::ElementComma, b',') => Place::Element,
            (Place::Element, _) => return Ok(self.begin(Place::InElement)),
            (place, byte) => {
                let byte = char::from(byte).escape_default();
                return Err(malformed(format_args!("'{byte}' in a list, in the place {place:?}")));
            }
        };
        Ok(false)
    }

    fn begin(&mut self, place: Place) -> bool {
        self.place = place;
        self.value = Value::default();
        self.text.clear();
        true
    }

    fn take(&mut self, bytes: &[u8]) -> serde_json::Result<()> {
        match self.place {
            Place::InValue(Key::Items | Key::Other) => return Ok(()),
            Place::InElement => {}
            _ if self.text.len() + bytes.len() > LARGEST_METADATA => {
                return Err(malformed("a list with oversized metadata"));
            }
            _ => {}
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn complete(&mut self, each: &mut impl FnMut(&[u8]) -> serde_json::Result<()>) -> serde_json::Result<()> {
        self.place = match self.place {
            Place::InKey => Place::Colon,
            Place::InElement => {
                each(&self.text)?;
                if self.text.capacity() > LARGEST_METADATA {
                    // A large object must not be paid for until the list ends.
                    self.text = Vec::new();
                }
                Place::ElementComma
            }
            Place::InValue(Key::Metadata) => {
                self.metadata = std::mem::take(&mut self.text);
                Place::Comma
            }
            _ => Place::Comma,
        };
        Ok(())
    }

    fn key(&self) -> serde_json::Result<Key> {
        let key: Text<'_> = serde_json::from_slice(&self.text)?;
        Ok(match &*key.0 {
            "items" => Key::Items,
            "metadata" => Key::Metadata,
            _ => Key::Other,
        })
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn malformed(what: impl std::fmt::Display) -> serde_json::Error {
    serde::de::Error::custom(what)
}

/// Where a JSON value ends that arrives in pieces. What is inside of it is checked by those who parse it.
#[derive(Debug, Default)]
pub(super) struct Value {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Value {
    /// How many bytes of the piece, which must not begin with white space at the value's start, belong to the value, and whether
    /// it ends with them.
    pub(super) fn take(&mut self, piece: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            at += 1;
            if self.in_string {
                match (self.escaped, byte) {
                    (true, _) => self.escaped = false,
                    (false, b'\\') => self.escaped = true,
                    (false, b'"') => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return (at, true);
                        }
                    }
                    _ => {
                        let plain = |b: &u8| !matches!(b, b'"' | b'\\');
                        at += piece.iter().skip(at).take_while(|b| plain(b)).count();
                    }
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                // A number or a word ends before these.
                b'}' | b']' | b',' | b' ' | b'\n' | b'\r' | b'\t' if self.depth == 0 => return (at - 1, true),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (at, true);
                    }
                }
                _ => {}
            }
        }
        (piece.len(), false)
    }
}

#[cfg(test)]
mod tests {
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
}
