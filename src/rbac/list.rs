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
pub(crate) struct Listed<S> {
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
pub(crate) async fn fold<T: DeserializeOwned, S>(
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

    /// The list's metadata; an error unless the text ended where a list does.
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
mod tests;
