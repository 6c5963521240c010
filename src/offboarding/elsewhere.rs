//! Backups of the UID that were made for other UserOffboardings: of an object that was deleted and made again, by Git say, or that was copied
//! or restored into another cluster. They are told to a person, and decide nothing: what they hold was not removed for this object.

use super::{facts::Facts, plan::bindings};
use crate::{
    rbac::backup::{self, StoredAction},
    sources::Backups,
};
use kube::ResourceExt;
use std::{
    collections::BTreeSet,
    fmt::{self, Write},
};

/// How many ConfigMaps are read to count what they hold.
const READ_AT_MOST: usize = 20;

/// How many ConfigMaps are named.
const SHOWN: usize = 3;

/// What the backups for other objects hold; as a text, one or two sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elsewhere {
    /// How many bindings of the UID were to be removed, in the backups that were read.
    bindings: usize,
    /// The object of the newest of them.
    object: String,
    object_uid: String,
    /// Its cluster, if that is another one.
    cluster: Option<String>,
    date: String,
    /// How many other objects there were.
    more_objects: usize,
    namespace: String,
    config_maps: Vec<String>,
    more_config_maps: usize,
    /// Whether there are more than were read.
    is_part: bool,
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at_least, were) = (
            if self.is_part { "At least " } else { "" },
            if self.bindings == 1 { "was" } else { "were" },
        );
        let uid: String = self.object_uid.chars().take(8).collect();
        write!(
            f,
            "{at_least}{} of this UID {were} backed up for another UserOffboarding ({}, uid {uid}",
            bindings(self.bindings),
            self.object
        )?;
        if let Some(cluster) = &self.cluster {
            write!(f, ", in cluster {cluster}")?;
        }
        f.write_char(')')?;
        match self.more_objects {
            0 => {}
            1 => f.write_str(" and 1 more")?,
            n => write!(f, " and {n} more")?,
        }
        let maps = if self.config_maps.len() == 1 {
            "ConfigMap"
        } else {
            "ConfigMaps"
        };
        write!(
            f,
            ", the last on {}: see {maps} {} of namespace {}",
            self.date,
            self.config_maps.join(", "),
            self.namespace
        )?;
        match self.more_config_maps {
            0 => f.write_char('.'),
            n => write!(f, ", and {n} more."),
        }
    }
}

/// Looks for them. An API server that does not answer, and a ConfigMap that is no backup, are logged: nothing depends on it.
pub(super) async fn find(backups: &Backups, facts: &Facts) -> Option<Elsewhere> {
    match look(backups, facts).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(uid = %facts.uid, %error, "cannot look for backups of this UID for other objects");
            None
        }
    }
}

async fn look(backups: &Backups, facts: &Facts) -> kube::Result<Option<Elsewhere>> {
    let (uid, of) = (backup::uid_label(), backup::object_label());
    let of_others = format!("{uid}={},{of},{of}!={}", facts.uid, facts.object_uid);
    let listed = backups.list(&of_others).await?;
    let mut names: Vec<_> = listed
        .iter()
        .map(|map| (map.creation_timestamp(), map.name_any()))
        .collect();
    // The newest first.
    names.sort_by(|a, b| (b.0.as_ref(), &b.1).cmp(&(a.0.as_ref(), &a.1)));
    let is_part = names.len() > READ_AT_MOST;
    let (mut parts, mut removed) = (Vec::new(), BTreeSet::new());
    let mut objects = BTreeSet::new();
    for (_, name) in names.iter().take(READ_AT_MOST) {
        let Some(map) = backups.get(name).await? else { continue };
        match backup::read(&map, facts.now) {
            Ok(mut part) => {
                let entries = std::mem::take(&mut part.entries).into_iter();
                let to_go = entries.filter(|e| e.action != StoredAction::Keep);
                let before = removed.len();
                removed.extend(to_go.map(|e| (part.cluster_id.clone(), e.uid)));
                if removed.len() > before {
                    objects.insert(part.object_uid.clone());
                    parts.push(part);
                }
            }
            Err(error) => tracing::warn!(%error, "not counted among the backups for other objects"),
        }
    }
    parts.sort_by(|a, b| (b.created, &b.config_map).cmp(&(a.created, &a.config_map)));
    let Some(newest) = parts.first() else { return Ok(None) };
    let named: Vec<String> = parts.iter().take(SHOWN).map(|part| part.config_map.clone()).collect();
    Ok(Some(Elsewhere {
        bindings: removed.len(),
        object: newest.object_name.clone(),
        object_uid: newest.object_uid.clone(),
        cluster: Some(newest.cluster_id.clone()).filter(|id| *id != facts.cluster_id),
        date: newest.created.strftime("%Y-%m-%d").to_string(),
        more_objects: objects.len() - 1,
        namespace: backups.namespace().to_owned(),
        more_config_maps: parts.len() - named.len() + names.len().saturating_sub(READ_AT_MOST),
        config_maps: named,
        is_part,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_words() {
        let one = Elsewhere {
            bindings: 1,
            object: "left".into(),
            object_uid: "1a2b3c4d-0000-4000-8000-000000000000".into(),
            cluster: None,
            date: "2026-01-02".into(),
            more_objects: 0,
            namespace: "n".into(),
            config_maps: vec!["a".into()],
            more_config_maps: 0,
            is_part: false,
        };
        assert_eq!(
            one.to_string(),
            "1 binding of this UID was backed up for another UserOffboarding (left, uid 1a2b3c4d), the last on 2026-01-02: see ConfigMap a of \
             namespace n."
        );
        let many = Elsewhere {
            bindings: 40,
            cluster: Some("c2".into()),
            more_objects: 1,
            config_maps: vec!["a".into(), "b".into(), "c".into()],
            more_config_maps: 18,
            is_part: true,
            ..one
        };
        assert_eq!(
            many.to_string(),
            "At least 40 bindings of this UID were backed up for another UserOffboarding (left, uid 1a2b3c4d, in cluster c2) and 1 more, the \
             last on 2026-01-02: see ConfigMaps a, b, c of namespace n, and 18 more."
        );
    }
}
