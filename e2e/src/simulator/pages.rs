//! Lists that go wrong between their pages.

use serde_json::Value;

use super::message::{Incoming, Reply};

/// What is wrong with a page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFault {
    /// It has the entries of the page before; all else is right. The first page is that of the list.
    Repeated,
    /// It has no entries; all else is right.
    Empty,
    /// The total that it states is one more. Lists with markers state none.
    OtherTotal,
}

/// The lists of all operations that have pages.
const LISTS: [&str; 5] = ["/Users/User", "/Roles/Role", "/states", "/clusters", "/Clusters"];
const TOTALS: [&str; 2] = ["/page/total_count", "/page_info/total_count"];

impl PageFault {
    /// What is to be asked for the entries that it needs, if it needs others than its own.
    pub(crate) fn asks(self, request: &Incoming) -> Option<Incoming> {
        (self == Self::Repeated).then(|| before(request))
    }

    /// The page with this fault; `before` is the page before.
    pub(crate) fn spoil(self, reply: Reply, before: Option<Reply>) -> Reply {
        let Ok(mut page) = serde_json::from_slice::<Value>(&reply.body) else {
            return reply;
        };
        let before = before.and_then(|before| serde_json::from_slice::<Value>(&before.body).ok());
        for list in LISTS {
            let Some(entries) = page.pointer_mut(list) else {
                continue;
            };
            match self {
                Self::Repeated => {
                    if let Some(others) = before.as_ref().and_then(|page| page.pointer(list)) {
                        *entries = others.clone();
                    }
                }
                Self::Empty => *entries = Value::Array(Vec::new()),
                Self::OtherTotal => {}
            }
        }
        for total in TOTALS {
            if let (Self::OtherTotal, Some(total)) = (self, page.pointer_mut(total)) {
                *total = (total.as_u64().unwrap_or_default() + 1).into();
            }
        }
        Reply::json(&page)
    }
}

/// The request for the page before.
fn before(request: &Incoming) -> Incoming {
    let mut request = request.clone();
    let size = |request: &Incoming, name: &str| request.query(name).and_then(|size| size.parse::<usize>().ok());
    let items = size(&request, "MaxItems").unwrap_or(100);
    for (name, value) in &mut request.query {
        match name.as_str() {
            "page_number" | "pageNumber" => {
                let number = value.parse::<usize>().unwrap_or(1);
                *value = number.saturating_sub(1).max(1).to_string();
            }
            "Marker" => *value = marker(start(value).unwrap_or(0).saturating_sub(items)),
            _ => {}
        }
    }
    request
}

/// The marker is opaque to clients; here it says where the next page starts.
const MARKER: &str = "simulated+marker/=";

pub(crate) fn marker(start: usize) -> String {
    format!("{MARKER}{start}")
}

/// Where the page of this marker starts; none for a marker that was not given out here.
pub(crate) fn start(marker: &str) -> Option<usize> {
    marker.strip_prefix(MARKER)?.parse().ok()
}
