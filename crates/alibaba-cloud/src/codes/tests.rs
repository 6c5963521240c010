use super::{
    super::classify::classify,
    table::{LISTS, PAGE, PROVIDER, SDK, SEEN},
    *,
};
use ErrorKind::*;
use Service::*;

/// A code that the row stands for.
fn example(row: &Code) -> String {
    row.code
        .replace('*', if row.code.starts_with('*') { "Read" } else { "" })
}

#[test]
fn every_row_is_found_and_decides_whatever_the_status() {
    for row in CODES {
        let code = example(row);
        for service in row.services {
            assert_eq!(
                find(*service, &code),
                Some(row),
                "{service} {code}: two rows for one code"
            );
            for status in [row.status.unwrap_or(400), 400, 403, 404, 500] {
                assert_eq!(
                    classify(*service, status, Some(&code), "", false),
                    row.kind,
                    "{service} {status} {code}"
                );
            }
        }
    }
}

#[test]
fn every_row_says_what_it_means_and_where_that_is_from() {
    for row in CODES {
        let Code {
            meaning,
            remedy,
            source,
            ..
        } = row;
        assert!(
            !row.services.is_empty() && !meaning.is_empty() && !meaning.ends_with('.'),
            "{row:?}"
        );
        assert!([PAGE, SDK, PROVIDER, SEEN, LISTS].contains(source), "{row:?}");
        // Of these, nothing changes until a person does something.
        assert!(
            !matches!(row.kind, Forbidden | ClusterNotFound) || *remedy != Remedy::Nothing,
            "{row:?}"
        );
        assert!(row.pause.is_none() || row.kind == Conflict, "{row:?}");
    }
}

#[test]
fn a_whole_code_comes_before_a_pattern_and_a_code_belongs_to_its_service() {
    let code = |service, code| find(service, code).map(|row| row.code);
    assert_eq!(
        code(Sts, "AuthenticationFail.NoPermission"),
        Some("AuthenticationFail.NoPermission")
    );
    assert_eq!(
        code(Sts, "AuthenticationFail.OIDCToken.Expired"),
        Some("AuthenticationFail*")
    );
    assert_eq!(code(Ack, "Throttling.User"), Some("Throttling*"));
    assert_eq!(code(Ack, "ForbiddenGrantPermissions"), Some("Forbidden*"));
    assert_eq!(
        code(Ack, "ErrorQueryClusterNamespace"),
        Some("ErrorQueryClusterNamespace")
    );
    assert_eq!(code(Sls, "ShardReadQuotaExceed"), Some("*QuotaExceed"));
    for (service, unknown) in [
        (Ack, "ErrorClusterState2"),
        (Ack, "Unauthorized"),
        (Ack, "UserActiveRecently"),
        (Ram, "ErrAuthorizationConflict"),
        (Sls, "ErrorCheckAcl"),
        (Ack, ""),
    ] {
        assert_eq!(code(service, unknown), None, "{service} {unknown}");
    }
}
