//! Who wrote a binding's subjects last, as managedFields tells.

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// Names that tell nothing: the operator's own, and what the API server calls clients without a name, of which the operator is one.
pub(super) const NOBODY: [&str; 4] = ["", "unknown", "before-first-apply", "ack-offboarding-operator"];

/// Who wrote the subjects last and still owns them, besides the operator: of managedFields, the latest entry with `f:subjects`. No tree of
/// it is kept: how large it is, its authors decide.
pub(super) fn last_writer(managed_fields: &RawValue) -> Option<String> {
    struct Latest;
    impl<'de> Visitor<'de> for Latest {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("managedFields")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut latest: Option<(String, String)> = None;
            while let Some(entry) = entries.next_element::<Entry<'de>>()? {
                let manager = entry.manager.unwrap_or_default();
                let writes = entry.operation.is_some() && entry.fields_v1.0;
                // Times are of one form, in UTC: their texts sort as they do.
                let time = shown(&entry.time.unwrap_or_default(), 32);
                let is_later = latest.as_ref().is_none_or(|(known, _)| *known <= time);
                if writes && !NOBODY.contains(&&*manager) && is_later {
                    latest = Some((time, shown(&manager, 128)));
                }
            }
            Ok(latest.map(|(_, manager)| manager))
        }
    }
    let mut json = serde_json::Deserializer::from_str(managed_fields.get());
    json.deserialize_seq(Latest).ok().flatten()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(default, borrow)]
    manager: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    operation: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    time: Option<Cow<'a, str>>,
    #[serde(default, rename = "fieldsV1")]
    fields_v1: OwnsSubjects,
}

/// Whether fieldsV1 has `f:subjects` at its top; everything else is skipped while it is read.
#[derive(Default)]
struct OwnsSubjects(bool);

impl<'de> Deserialize<'de> for OwnsSubjects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = OwnsSubjects;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("fieldsV1")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<OwnsSubjects, A::Error> {
                let mut owns = false;
                while let Some((key, IgnoredAny)) = fields.next_entry::<Cow<'de, str>, IgnoredAny>()? {
                    owns |= key == "f:subjects";
                }
                Ok(OwnsSubjects(owns))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// The text without control characters, cut.
pub(super) fn shown(text: &str, characters: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(characters).collect()
}
