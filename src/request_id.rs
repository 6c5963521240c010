//! Which request an effect was: what Alibaba Cloud's support asks for (`x-acs-request-id`), and what the API server's audit log calls
//! `auditID` and answers as `Audit-Id`.

use std::cell::RefCell;

tokio::task_local! {
    static LATEST: RefCell<Option<String>>;
}

/// The longest ID that is kept: they have 36 characters.
const LIMIT: usize = 64;

/// Does `work`, and says which request was the latest in it that was answered. The clients of the API server and of the cloud tell.
pub(crate) async fn traced<T>(work: impl Future<Output = T>) -> (T, Option<String>) {
    LATEST
        .scope(RefCell::default(), async {
            let done = work.await;
            (done, LATEST.with(RefCell::take))
        })
        .await
}

/// A request was answered. It is no matter to whoever does not ask ([`traced`]).
pub(crate) fn answered(id: Option<&str>) {
    let legible = |id: &&str| !id.is_empty() && id.len() <= LIMIT && id.bytes().all(|byte| byte.is_ascii_graphic());
    if let Some(id) = id.filter(legible) {
        let _ = LATEST.try_with(|latest| latest.replace(Some(id.to_owned())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_latest_answer_of_the_work_is_told_and_nobody_elses() {
        answered(Some("before"));
        let work = async {
            answered(Some("first"));
            answered(Some("second"));
            answered(Some("not\nlegible"));
            answered(None);
            7
        };
        assert_eq!(traced(work).await, (7, Some("second".to_owned())));
        assert_eq!(traced(async {}).await, ((), None));
    }
}
