//! Credentials as services send them.

use reqsign_aliyun_oss::Credential;
use serde_json::Value;

use super::fields::clean;

/// Reads `AccessKeyId`, `AccessKeySecret`, `SecurityToken` and `Expiration` (RFC 3339), which must all be there. The error says what is wrong, and
/// quotes nothing.
pub(super) fn read(value: Option<&Value>) -> Result<Credential, String> {
    let Some(value) = value.filter(|value| value.is_object()) else {
        return Err("it contains no credentials".to_owned());
    };
    let part = |name: &str| match value.get(name).and_then(Value::as_str) {
        Some(text) => match clean(name, text) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(format!("its {name} is empty")),
            Err(problem) => Err(format!("its {problem}")),
        },
        None => Err(format!("it has no {name}")),
    };
    let (id, secret, token) = (part("AccessKeyId")?, part("AccessKeySecret")?, part("SecurityToken")?);
    let expires = part("Expiration")?.parse();
    Ok(Credential {
        access_key_id: id,
        access_key_secret: secret,
        security_token: Some(token),
        expires_in: Some(expires.map_err(|_| "its Expiration is not a time".to_owned())?),
    })
}
