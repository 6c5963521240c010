//! The report file: what came of each cluster, for the auditor, and for a run that goes on where this one ended.

use super::result::FleetReport;
use crate::{
    exit::Failure,
    output::{self, API_VERSION, Shown},
};
use serde::Deserialize;
use std::{io::Write, path::Path};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    api_version: String,
    kind: String,
    #[serde(flatten)]
    report: FleetReport,
}

/// Writes it: whoever reads the file meanwhile sees the earlier one or this one, whole. Only its owner may read it.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(path: &Path, report: &FleetReport) -> Result<(), Failure> {
    let text = output::json(report)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).and_then(|mut file| {
        writeln!(file, "{text}")?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)
    });
    written
        .map(drop)
        .map_err(|error| Failure::new(format!("cannot write the report {}: {error}", path.display())))
}

/// Reads it.
///
/// # Errors
/// When there is none, or it is no such report.
pub(crate) fn read(path: &Path) -> Result<FleetReport, Failure> {
    let file = path.display();
    let text =
        std::fs::read(path).map_err(|error| Failure::usage(format!("cannot read the report {file}: {error}")))?;
    let read: Read = serde_json::from_slice(&text)
        .map_err(|error| Failure::usage(format!("{file} is no report of `kubectl ack-offboard fleet`: {error}")))?;
    match read.api_version == API_VERSION && read.kind == FleetReport::KIND {
        true => Ok(read.report),
        false => Err(Failure::usage(format!(
            "{file} is no report of `kubectl ack-offboard fleet`: it is a {} of {}.",
            output::clean(&read.kind),
            output::clean(&read.api_version)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::result::ClusterResult, *};
    use k8s_openapi::jiff::Timestamp;

    fn report() -> FleetReport {
        FleetReport {
            verb: "status".to_owned(),
            uid: None,
            made_at: Timestamp::from_second(1_700_000_000).unwrap(),
            plugin: "1".to_owned(),
            clusters: vec![ClusterResult::waiting("a", Some("c1"), None)],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        std::fs::write(&path, "an earlier one").unwrap();
        write(&path, &report()).unwrap();
        assert_eq!(read(&path), Ok(report()));
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing else is left"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let said = || read(&path).unwrap_err().message;
        assert!(said().contains("cannot read"));
        std::fs::write(&path, "{}").unwrap();
        assert!(said().contains("is no report"));
        write(&path, &report()).unwrap();
        let other = std::fs::read_to_string(&path).unwrap().replace("FleetReport", "Plan");
        std::fs::write(&path, other).unwrap();
        assert!(said().contains("it is a Plan"));
    }
}
