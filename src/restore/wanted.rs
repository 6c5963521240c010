//! What of a stored binding comes back.

use super::subject::{Subject, array};
use crate::rbac::{
    BindingKey, LiveBinding,
    backup::{StoredAction, StoredEntry, StoredText},
    subject::{Leaver, Match, Whose, classify, uid_at_start},
};
use alibaba_cloud::Uid;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A state of a binding that can be given back.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which binding.
    pub key: BindingKey,
    /// What the offboarding was to do to it.
    pub action: StoredAction,
    /// The role that it grants, as `ClusterRole/NAME` or `Role/NAME`.
    pub role_ref: String,
    /// The subjects that come back: of a shared binding, the leaver's alone; of one that was kept, those that bear the UID.
    pub subjects: Vec<Subject>,
    /// The ConfigMap that holds this state.
    pub config_map: String,
    /// When it was stored.
    pub stored: Timestamp,
    /// What a person should know of it, as sentences.
    pub notes: Vec<String>,
    /// What creates it, if it is gone.
    pub(super) manifest: String,
    pub(super) leaver: Leaver,
}

impl Wanted {
    /// Reads what comes back out of an entry of a backup, or says what is wrong with that.
    pub(super) fn of(
        uid: Uid,
        config_map: &str,
        stored: Timestamp,
        entry: &StoredEntry,
        text: &StoredText,
    ) -> Result<Self, String> {
        let key = &entry.key;
        let leaver = Leaver::new(uid, &entry.names, &[]);
        let no_binding = |error: &dyn std::fmt::Display| format!("the original of {key} is no binding: {error}");
        let was = LiveBinding::parse(key, &text.original, &leaver).map_err(|error| no_binding(&error))?;
        let all = Subject::all(&text.original).map_err(|error| no_binding(&error))?;
        let is_leavers = |s: &Subject| leaver.whose(&s.kind, Some(&s.api_group), &s.name) == Whose::Leaver;
        let bears_uid = |s: &Subject| uid_at_start(&s.name) == Some(uid);
        let is_user_of_uid = |s: &Subject| {
            let of = classify(&s.kind, Some(&s.api_group), &s.name);
            of.is_some_and(|(of, relation)| of == uid && relation != Match::NameOnly)
        };
        let mut notes = Vec::new();
        let (subjects, manifest) = match entry.action {
            StoredAction::Delete => {
                // Whoever forges a backup would add somebody here.
                if let Some(other) = all.iter().find(|s| !is_user_of_uid(s)) {
                    return Err(format!(
                        "its index.json says that {key} was the leaver's alone, but the original names {} {:?}",
                        other.kind, other.name
                    ));
                }
                (all, text.manifest.clone())
            }
            StoredAction::RemoveSubject => {
                let leavers: Vec<_> = all.into_iter().filter(is_leavers).collect();
                if leavers.is_empty() {
                    return Err(format!(
                        "its index.json says that {key} named the leaver, but the original does not"
                    ));
                }
                let manifest = with_subjects(&text.manifest, &leavers).map_err(|error| no_binding(&error))?;
                (leavers, manifest)
            }
            // What creates it holds everybody who was in it: nobody but ACK's purge could take it.
            StoredAction::Keep => (all.into_iter().filter(bears_uid).collect(), text.manifest.clone()),
        };
        // Who only wrote it last is no owner: kubectl, or an earlier restore.
        if let Some(manager) = was.managed_by.as_ref().filter(|manager| manager.owns) {
            notes.push(format!(
                "It was marked as belonging to {}: restore it there too, or it may be changed again.",
                manager.name
            ));
        }
        let tied = Tied::of(&text.original).map_err(|error| no_binding(&error))?;
        notes.extend(tied.note());
        Ok(Wanted {
            key: key.clone(),
            action: entry.action,
            role_ref: was.role_ref,
            subjects,
            config_map: config_map.to_owned(),
            stored,
            notes,
            manifest,
            leaver,
        })
    }
}

/// A manifest with other subjects.
fn with_subjects(manifest: &str, subjects: &[Subject]) -> Result<String, serde_json::Error> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(manifest)?;
    fields.insert("subjects".to_owned(), RawValue::from_string(array(subjects))?);
    serde_json::to_string(&fields)
}

/// What tied the binding to other objects, and is not brought back.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tied {
    owner_references: Option<Vec<Owner>>,
    finalizers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Owner {
    kind: String,
    name: String,
}

impl Tied {
    fn of(original: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Binding {
            metadata: Tied,
        }
        Ok(serde_json::from_str::<Binding>(original)?.metadata)
    }

    fn note(&self) -> Option<String> {
        let owners = self.owner_references.iter().flatten();
        let mut ties: Vec<_> = owners
            .map(|owner| format!("its owner {} {:?}", owner.kind, owner.name))
            .collect();
        let finalizers = self.finalizers.iter().flatten();
        ties.extend(finalizers.map(|finalizer| format!("its finalizer {finalizer:?}")));
        ties.truncate(5);
        (!ties.is_empty()).then(|| format!("If it is created, it comes back without {}.", ties.join(", ")))
    }
}
