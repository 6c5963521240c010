//! Image archives: writing the smallest one, and reading the size of any.

use std::{
    collections::HashMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context;
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The name of the sandbox image: what holds a pod's namespaces.
pub(super) const PAUSE: &str = "docker.io/ack-offboarding-operator/pause:e2e";

/// Writes an image with the static `program` alone into `dir`, in the form of `docker save`; returns the file.
pub(super) fn pause(program: &Path, dir: &Path) -> anyhow::Result<PathBuf> {
    let content = std::fs::read(program).with_context(|| format!("cannot read {program:?}"))?;
    let layer = tar(&[("pause", 0o755, &content)])?;
    let config = json!({
        "os": "linux",
        "architecture": architecture(),
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex::encode(Sha256::digest(&layer)))]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [PAUSE], "Layers": ["layer.tar"]}]);
    let archive = tar(&[
        ("manifest.json", 0o644, manifest.to_string().as_bytes()),
        ("config.json", 0o644, config.to_string().as_bytes()),
        ("layer.tar", 0o644, &layer),
    ])?;
    let path = dir.join("pause.tar");
    std::fs::write(&path, archive).with_context(|| format!("cannot write {path:?}"))?;
    Ok(path)
}

/// Go's name for this machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn tar(files: &[(&str, u32, &[u8])]) -> anyhow::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_entry_type(tar::EntryType::Regular);
        builder.append_data(&mut header, path, *content)?;
    }
    Ok(builder.into_inner()?)
}

/// The one image of an OCI archive.
#[derive(Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name, as `buildah push oci-archive:FILE:NAME` wrote it.
    pub name: String,
    /// The bytes of its layers, not compressed.
    pub bytes: u64,
}

/// Reads an OCI archive.
///
/// # Errors
/// When it is none, has several images, or a layer in a form other than tar or tar with gzip.
pub fn read(archive: &Path) -> anyhow::Result<Image> {
    let read = || -> anyhow::Result<Image> {
        let mut files = HashMap::new();
        for entry in tar::Archive::new(File::open(archive)?).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.insert(path, content);
        }
        let json = |path: &str| -> anyhow::Result<Value> {
            let content = files.get(path).with_context(|| format!("it has no {path}"))?;
            Ok(serde_json::from_slice(content)?)
        };
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap_or_default();
            format!("blobs/{}", digest.replace(':', "/"))
        };
        let index = json("index.json")?;
        let [entry] = index["manifests"].as_array().map_or(&[][..], Vec::as_slice) else {
            anyhow::bail!("it does not hold one image");
        };
        let name = entry["annotations"]["org.opencontainers.image.ref.name"].as_str();
        let manifest = json(&blob(entry))?;
        let mut bytes = 0;
        for layer in manifest["layers"].as_array().into_iter().flatten() {
            let path = blob(layer);
            let content = files.get(&path).with_context(|| format!("it has no {path}"))?;
            let is_gzip = layer["mediaType"].as_str().is_some_and(|kind| kind.ends_with("gzip"));
            bytes += match is_gzip {
                true => std::io::copy(&mut MultiGzDecoder::new(&content[..]), &mut std::io::sink())?,
                false => content.len() as u64,
            };
        }
        Ok(Image {
            name: name.context("its image has no name")?.to_owned(),
            bytes,
        })
    };
    read().with_context(|| format!("cannot read the image archive {}", archive.display()))
}
