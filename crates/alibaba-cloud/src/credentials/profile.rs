//! Why a profile of the Alibaba Cloud CLI holds no credentials: the provider says only that there are none.

use reqsign_core::Context;
use serde::Deserialize;

/// The variable that names the profile.
pub(super) const PROFILE: &str = "ALIBABA_CLOUD_PROFILE";

/// The modes whose profiles hold keys.
const WITH_KEYS: [&str; 2] = ["AK", "StsToken"];

/// How many profiles are named.
const SHOWN: usize = 10;

#[derive(Deserialize)]
struct File {
    current: Option<String>,
    #[serde(default)]
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    #[serde(default)]
    name: String,
    mode: Option<String>,
}

/// The cause in words, with the names of the file, the profile and its mode; never anything else of the file.
pub(super) async fn why_none(context: &Context, name: Option<&str>) -> String {
    let path = context.env_var("ALIBABA_CLOUD_CONFIG_FILE");
    let path = path.unwrap_or_else(|| "~/.aliyun/config.json".to_owned());
    let Some(expanded) = (match path.starts_with("~/") {
        true => context.expand_home_dir(&path),
        false => Some(path.clone()),
    }) else {
        return format!("cannot find {path}: the process has no home directory; set ALIBABA_CLOUD_CONFIG_FILE");
    };
    let content = match context.file_read(&expanded).await {
        Ok(content) => content,
        Err(error) => return error.to_string(),
    };
    let Ok(file) = serde_json::from_slice::<File>(&content) else {
        return format!("cannot understand {path}: it is not a configuration of the Alibaba Cloud CLI");
    };
    let chosen = context.env_var(PROFILE).or(name.map(str::to_owned)).or(file.current);
    let name = chosen.unwrap_or_else(|| "default".to_owned());
    let Some(profile) = file.profiles.iter().find(|profile| profile.name == name) else {
        let names: Vec<&str> = file.profiles.iter().map(|p| p.name.as_str()).take(SHOWN).collect();
        return match names.as_slice() {
            [] => format!("{path} has no profiles"),
            names => format!("{path} has no profile {name:?}; it has {}", names.join(", ")),
        };
    };
    match profile.mode.as_deref().filter(|mode| !mode.is_empty()) {
        Some(mode) if !WITH_KEYS.contains(&mode) => format!(
            "profile {name:?} of {path} has mode {mode}, which holds no keys; only the modes {} are read",
            WITH_KEYS.join(" and ")
        ),
        _ => format!("profile {name:?} of {path} has no access key"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::exchange::Files, *};
    use crate::environment::Environment;

    async fn why(name: Option<&str>, file: &std::path::Path) -> String {
        let path = file.to_str().unwrap().to_owned();
        let environment: Environment = [("ALIBABA_CLOUD_CONFIG_FILE".to_owned(), path.as_str())]
            .into_iter()
            .collect();
        let context = Context::new().with_file_read(Files).with_env(environment);
        why_none(&context, name).await.replace(&path, "FILE")
    }

    #[tokio::test]
    async fn each_cause_has_words_of_its_own() {
        let folder = std::env::temp_dir().join(format!("profile-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("config.json");
        let missing = why(None, &file).await;
        assert!(missing.contains("cannot read FILE: No such file"), "{missing}");
        let content = serde_json::json!({"current": "sso", "profiles": [
            {"name": "sso", "mode": "CloudSSO"},
            {"name": "empty", "mode": "AK", "access_key_id": "", "access_key_secret": ""},
        ]});
        std::fs::write(&file, content.to_string()).unwrap();
        for (name, expected) in [
            (
                None,
                "profile \"sso\" of FILE has mode CloudSSO, which holds no keys; only the modes AK and StsToken are read",
            ),
            (Some("empty"), "profile \"empty\" of FILE has no access key"),
            (Some("audit"), "FILE has no profile \"audit\"; it has sso, empty"),
        ] {
            assert_eq!(why(name, &file).await, expected);
        }
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(why(None, &file).await, "FILE has no profiles");
        std::fs::write(&file, "[1]").unwrap();
        assert!(why(None, &file).await.contains("not a configuration"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
