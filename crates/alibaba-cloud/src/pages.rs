//! Lists that come in pages: whole, or an error of the kind `Malformed`, never a shorter list.

use std::{collections::HashSet, hash::Hash};

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    call::{Call, failure},
    client::Client,
    endpoint::Endpoint,
    error::{ApiError, ErrorKind, Service},
};

/// The most pages of any list: a hundred thousand entries at least, where an account may have far fewer.
const MOST_PAGES: usize = 1000;

/// A list of RAM or IMS: each page but the last has a marker that leads to the next.
pub(crate) struct Marked<'a> {
    pub(crate) client: &'a Client,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) service: Service,
    pub(crate) operation: &'static str,
    /// The most that one page can hold.
    pub(crate) size: usize,
    /// What is asked for besides the page.
    pub(crate) query: Vec<(&'static str, String)>,
}

/// The entries of one page, or why they are none.
pub(crate) type Entries<T> = Result<Vec<T>, &'static str>;

/// What a page is that holds no list at all.
pub(crate) const NO_LIST: &str = "it contains no list";

/// What a page is that holds what an earlier one held.
const TWICE: &str = "the same page came twice";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page<P> {
    #[serde(default)]
    is_truncated: Option<bool>,
    #[serde(default)]
    marker: Option<String>,
    #[serde(flatten)]
    entries: P,
}

impl Marked<'_> {
    /// Reads all pages. `id` tells one entry from another: an entry that comes on two pages shows that one came twice.
    pub(crate) async fn read<P: DeserializeOwned, T, I: Hash + Eq>(
        self,
        entries: fn(P) -> Entries<T>,
        id: fn(&T) -> I,
    ) -> Result<Vec<T>, ApiError> {
        let (mut all, mut ids, mut markers) = (Vec::new(), HashSet::new(), HashSet::new());
        let mut next: Option<String> = None;
        for number in 1..=MOST_PAGES {
            let mut query = self.query.clone();
            query.push(("MaxItems", self.size.to_string()));
            query.extend(next.take().map(|marker| ("Marker", marker)));
            let call = Call::rpc(self.service, self.operation, self.endpoint, query).on(format!("page {number}"));
            let answer = self.client.send(&call).await?;
            let page: Page<P> = call.json(&answer)?;
            let marker = page.marker.filter(|marker| !marker.is_empty());
            let found = entries(page.entries).map_err(|what| call.malformed(&answer, what))?;
            // On one page an entry may stand twice; on two it shows that a page came again.
            let again = found.iter().any(|entry| ids.contains(&id(entry)));
            ids.extend(found.iter().map(id));
            // Where it is not said, a marker tells that there is more; an empty page without one, and a full one, tell nothing.
            let ends = marker.is_none() && (1..self.size).contains(&found.len());
            let truncated = page.is_truncated.unwrap_or(!ends);
            let empty = found.is_empty();
            all.extend(found);
            if !truncated && marker.is_some() {
                return Err(call.malformed(
                    &answer,
                    "it says that it is the last page, and has a marker for the next one",
                ));
            }
            if !truncated && !again {
                return Ok(all);
            }
            if !truncated {
                return Err(call.malformed(&answer, TWICE));
            }
            if empty {
                return Err(call.malformed(&answer, "it is an empty page but not the last one"));
            }
            let Some(marker) = marker else {
                return Err(call.malformed(&answer, "it is not the last page but has no marker for the next one"));
            };
            if !markers.insert(marker.clone()) {
                return Err(call.malformed(&answer, "its marker leads to a page that was already read"));
            }
            if again {
                return Err(call.malformed(&answer, TWICE));
            }
            next = Some(marker);
        }
        Err(endless(self.service, self.operation, ""))
    }
}

/// A page of a list of CS: pages are numbered, and each says how many entries there are in all.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct NumberedPage<T> {
    #[serde(default)]
    page: Option<PageInfo>,
    #[serde(default)]
    states: Option<Vec<T>>,
}

#[derive(Deserialize)]
pub(crate) struct PageInfo {
    #[serde(default)]
    total_count: Option<usize>,
}

/// What one page says of the list, and its entries; each as far as it is there.
pub(crate) type PageParts<T> = (Option<PageInfo>, Option<Vec<T>>);

/// Reads all numbered pages of a list of states; `call` makes the call for the page of a number, from 1.
pub(crate) async fn numbered<T>(
    client: &Client,
    call: impl Fn(usize) -> Result<Call, ApiError>,
) -> Result<Vec<T>, ApiError>
where
    T: DeserializeOwned + Hash + Eq + Clone,
{
    numbered_as(client, call, |page: NumberedPage<T>| (page.page, page.states)).await
}

/// As [`numbered`], for pages of another form.
pub(crate) async fn numbered_as<P, T>(
    client: &Client,
    call: impl Fn(usize) -> Result<Call, ApiError>,
    parts: fn(P) -> PageParts<T>,
) -> Result<Vec<T>, ApiError>
where
    P: DeserializeOwned,
    T: Hash + Eq + Clone,
{
    let (mut all, mut seen) = (Vec::new(), HashSet::new());
    let mut last_total: Option<Option<usize>> = None;
    for number in 1..=MOST_PAGES {
        let call = call(number)?;
        let answer = client.send(&call).await?;
        let (page, states) = parts(call.json::<P>(&answer)?);
        if page.is_none() && states.is_none() {
            return Err(call.malformed(&answer, NO_LIST));
        }
        let total = page.and_then(|page| page.total_count);
        if last_total.is_some_and(|last| last != total) {
            return Err(call.malformed(&answer, "the list changed while it was read"));
        }
        last_total = Some(total);
        let states = states.unwrap_or_default();
        if states.iter().any(|state| seen.contains(state)) {
            return Err(call.malformed(&answer, TWICE));
        }
        seen.extend(states.iter().cloned());
        let empty = states.is_empty();
        all.extend(states);
        if total.is_some_and(|total| all.len() > total) {
            return Err(call.malformed(&answer, "it has more entries than it says that there are"));
        }
        // Without a total, only an empty page is the end.
        if total.map_or(empty, |total| all.len() >= total) {
            return Ok(all);
        }
        if empty {
            return Err(call.malformed(&answer, "it is an empty page but not the last one"));
        }
    }
    let call = call(MOST_PAGES)?;
    Err(endless(call.service, call.operation, &call.target))
}

fn endless(service: Service, operation: &'static str, target: &str) -> ApiError {
    failure(
        service,
        operation,
        target,
        ErrorKind::Malformed,
        "the list does not end",
    )
}
