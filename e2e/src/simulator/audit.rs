//! Following the API server's audit file.

use std::io::SeekFrom;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::dispatch::State;
use super::lock;
use super::world::Record;

/// How often the file is looked at.
const EVERY: Duration = Duration::from_millis(50);

/// Where the file ends now; 0 if it is not there yet.
pub(crate) fn end(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Appends what is written to `path` behind `offset` to the cluster's logstore, for ever. A file that is not there yet is
/// waited for; one that becomes shorter was rotated, and is read from its start.
pub(crate) async fn follow(state: Arc<State>, cluster: String, path: std::path::PathBuf, mut offset: u64) {
    let mut rest = Vec::new();
    loop {
        match read(&path, &mut offset, &mut rest).await {
            Ok(lines) if lines.is_empty() => {}
            Ok(lines) => append(&state, &cluster, &lines),
            Err(error) => tracing::debug!("{}: {error}", path.display()),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The whole lines that came since `offset`; what is after the last newline stays in `rest`.
async fn read(path: &Path, offset: &mut u64, rest: &mut Vec<u8>) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path).await?;
    let length = file.metadata().await?.len();
    if length < *offset {
        *offset = 0;
        rest.clear();
    }
    if length == *offset {
        return Ok(Vec::new());
    }
    file.seek(SeekFrom::Start(*offset)).await?;
    *offset += file.read_to_end(rest).await? as u64;
    let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let incomplete = rest.split_off(whole);
    Ok(std::mem::replace(rest, incomplete))
}

fn append(state: &State, cluster: &str, lines: &[u8]) {
    let events = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let records: Vec<Record> = events
        .filter_map(|line| {
            let event = serde_json::from_slice(line);
            let event = event
                .inspect_err(|error| tracing::warn!("a line of the audit log is not JSON: {error}"))
                .ok()?;
            Record::from_event(&event)
        })
        .collect();
    let mut world = lock(&state.world);
    // A cluster whose auditing is off has no logstore to write to: the records are lost, as they would be.
    if let Some(logstore) = world.audit_logstore_mut(cluster) {
        records.into_iter().for_each(|record| logstore.records.push(record));
    }
}
