//! The structure of the code, read from its imports: which module may depend on which, and that no two depend on each other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use syn::visit::Visit;

/// The files of a crate by module path, as in `offboarding::plan`; the root is the empty path.
fn modules(root: &Path) -> BTreeMap<Vec<String>, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(Vec::new(), root.to_owned())];
    while let Some((path, folder)) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                let is_programs = path.is_empty() && name == "bin";
                if !is_programs && name != "tests" {
                    let inner: Vec<String> = path.iter().cloned().chain([name]).collect();
                    folders.push((inner, entry.path()));
                }
                continue;
            }
            let Some(stem) = name.strip_suffix(".rs") else { continue };
            let module = match stem {
                "mod" => path.clone(),
                "lib" | "main" if path.is_empty() => Vec::new(),
                "tests" => continue,
                stem => path.iter().cloned().chain([stem.to_owned()]).collect(),
            };
            found.insert(module, entry.path());
        }
    }
    found
}

/// The modules that a file names in its imports and paths, outside of its tests.
struct Imports<'a> {
    own: &'a [String],
    known: &'a BTreeMap<Vec<String>, PathBuf>,
    found: BTreeSet<Vec<String>>,
}

impl Imports<'_> {
    /// `crate::a::b::C` from anywhere, `super::b::C` from `a::x`: the longest beginning that is a module.
    fn note(&mut self, segments: &[String]) {
        let (base, rest): (Vec<String>, &[String]) = match segments.first().map(String::as_str) {
            Some("crate") => (Vec::new(), &segments[1..]),
            Some("self") => (self.own.to_vec(), &segments[1..]),
            Some("super") => {
                let ups = segments.iter().take_while(|s| *s == "super").count();
                let keep = self.own.len().saturating_sub(ups);
                (self.own[..keep].to_vec(), &segments[ups..])
            }
            // A module below this one.
            Some(first) => {
                let inner: Vec<String> = self.own.iter().cloned().chain([first.to_owned()]).collect();
                if !self.known.contains_key(&inner) {
                    return;
                }
                (self.own.to_vec(), segments)
            }
            None => return,
        };
        let full: Vec<String> = base.into_iter().chain(rest.iter().cloned()).collect();
        let module = (0..=full.len())
            .rev()
            .map(|n| &full[..n])
            .find(|path| self.known.contains_key(*path));
        if let Some(module) = module.filter(|module| *module != self.own) {
            self.found.insert(module.to_vec());
        }
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| -> Vec<String> { before.iter().cloned().chain([name.to_string()]).collect() };
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) if name.ident == "self" => self.note(before),
            syn::UseTree::Name(name) => self.note(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.note(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.note(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(before, item)),
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for Imports<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_for_tests(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        // What a module exports of its parts is no dependency of one on the other.
        if matches!(item.vis, syn::Visibility::Inherited) && !is_for_tests(&item.attrs) {
            self.tree(&[], &item.tree);
        }
    }

    // `pub(super)` is no dependency.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // One word is a variable, or an item of the file's own.
        if segments.len() > 1 {
            self.note(&segments);
        }
        syn::visit::visit_path(self, path);
    }
}

type Graph = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

fn graph(root: &Path) -> Graph {
    let known = modules(root);
    let imports = |(own, file): (&Vec<String>, &PathBuf)| {
        let parsed = syn::parse_file(&std::fs::read_to_string(file).unwrap()).unwrap();
        let mut imports = Imports {
            own,
            known: &known,
            found: BTreeSet::new(),
        };
        imports.visit_file(&parsed);
        (own.clone(), imports.found)
    };
    known.iter().map(imports).collect()
}

/// The groups of modules that depend on each other, each with its members in order.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let reach = |from: &Vec<String>| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(next) = open.pop() {
            for to in graph.get(&next).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    open.push(to.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = graph.keys().map(|module| (module, reach(module))).collect();
    let mut circles = BTreeSet::new();
    for (module, there) in &reached {
        if there.contains(*module) {
            let group = there.iter().filter(|other| reached[other].contains(*module));
            circles.insert(group.map(|path| path.join("::")).collect::<Vec<_>>());
        }
    }
    circles.into_iter().collect()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn no_two_files_depend_on_each_other() {
    for root in [
        "src",
        "crates/alibaba-cloud/src",
        "crates/kubectl-ack-offboard/src",
        "e2e/src",
    ] {
        let graph = graph(&repository().join(root));
        let circles = circles(&graph);
        for circle in &circles {
            println!("{root}: {} files in a circle: {circle:?}", circle.len());
        }
        assert!(circles.is_empty(), "{root}: {circles:#?}");
    }
}

/// What may depend on what stands before it, and never the reverse; what stands side by side knows nothing of each other.
const ORDER: [&[&str]; 6] = [
    &["api"],
    &["rbac"],
    &["sources"],
    &["offboarding", "restore", "scan"],
    &["operator"],
    &["doctor"],
];

#[test]
fn dependencies_point_one_way() {
    let graph = graph(&repository().join("src"));
    let place = |module: &[String]| {
        ORDER
            .iter()
            .position(|names| module.first().is_some_and(|first| names.contains(&first.as_str())))
    };
    let mut wrong = Vec::new();
    for (from, all) in &graph {
        for to in all {
            if let (Some(of), Some(on)) = (place(from), place(to))
                && (of < on || of == on && from.first() != to.first())
            {
                wrong.push(format!("{} depends on {}", from.join("::"), to.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
