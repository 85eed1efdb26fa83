//! An apply file, or a directory of them, with the files that they name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use egress_core::catalog::{Document, Text};
use egress_core::fault::{Checked, Faults, Finding, unless_faulty};

use super::reading;

/// The most files a directory may have.
const FILES_MAX: usize = 1000;

/// Reads the file at `path`, or every `*.toml` in that directory in the order of their names, as
/// one document whose source is the path. Every fault of every file is found at once.
///
/// A `…_file` is relative to the file that names it; one that holds a secret must have mode 0600.
pub fn read(path: &Path) -> Checked<Document> {
    let files = files(path).map_err(|fault| Faults(vec![fault]))?;
    let mut findings = Vec::new();
    let mut whole: Option<Document> = None;
    for file in files {
        match read_one(&file) {
            Ok((document, found)) => {
                findings.extend(found);
                whole = Some(match whole {
                    None => document,
                    Some(whole) => whole.join(document),
                });
            }
            Err(Faults(found)) => findings.extend(found),
        }
    }
    let mut document = whole.unwrap_or_default();
    if document.source.is_none() {
        document.source = Some(source(path));
    }
    unless_faulty(findings, || document)
}

/// The same however the path is written.
fn source(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    path.display().to_string()
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Finding> {
    let fault = |why: String| Finding::fault(why).in_file(path.display().to_string());
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| fault(format!("cannot be read: {error}")))?.path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(fault(String::from("no *.toml file in this directory")));
    }
    if files.len() > FILES_MAX {
        return Err(fault(format!("{} files: at most {FILES_MAX} are read", files.len())));
    }
    files.sort();
    Ok(files)
}

fn read_one(path: &Path) -> Checked<Document> {
    let name = path.display().to_string();
    let fault = |why: String| Faults(vec![Finding::fault(why).in_file(&name)]);
    let content = reading::read(path).map_err(fault)?;
    let (document, mut findings) = Document::from_toml(content.text.expose(), &name)?;
    if content.is_shared() && holds_secret(&document) {
        let message = format!("holds secrets, and others may open it: chmod 600 {name}");
        findings.push(Finding::warning(message).in_file(&name));
    }
    match bring_in(document, path) {
        Ok(document) => Ok((document, findings)),
        Err(Faults(faults)) => {
            findings.extend(faults);
            Err(Faults(findings))
        }
    }
}

fn bring_in(document: Document, path: &Path) -> Result<Document, Faults> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let secrets: BTreeSet<String> = secrets(&document).filter_map(file_of).collect();
    document.resolve(|file| {
        let path = dir.join(file);
        if secrets.contains(file) {
            return reading::read_secret(&path);
        }
        reading::read(&path).map(|content| content.text)
    })
}

fn holds_secret(document: &Document) -> bool {
    secrets(document).any(|text| matches!(text, Text::Inline(_)))
}

fn secrets(document: &Document) -> impl Iterator<Item = &Text> {
    document.credentials.iter().flat_map(|credential| {
        [
            &credential.private_key,
            &credential.password,
            &credential.custom,
            &credential.preshared_key,
        ]
        .into_iter()
        .flatten()
    })
}

fn file_of(text: &Text) -> Option<String> {
    match text {
        Text::File(path) => Some(path.clone()),
        Text::Inline(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PROVIDER: &str = "[[provider]]\nname = \"acme\"\ntype = \"wireguard\"\n";
    const CREDENTIAL: &str = "[[credential]]\nprovider = \"acme\"\nname = \"ann\"\n\
        user = \"ann\"\nprivate_key_file = \"keys/ann.key\"\n";

    struct Dir(tempfile::TempDir);

    impl Dir {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("keys")).unwrap();
            Self(dir)
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        fn put(&self, name: &str, text: &str, mode: u32) {
            let path = self.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }

        fn faults(&self) -> String {
            read(self.path()).unwrap_err().to_string()
        }
    }

    #[test]
    fn a_directory_is_one_document_of_its_files_in_order() {
        let dir = Dir::new();
        dir.put("20-b.toml", CREDENTIAL, 0o644);
        dir.put("10-a.toml", PROVIDER, 0o644);
        dir.put("notes.txt", "not read", 0o644);
        dir.put("keys/ann.key", "c2VjcmV0", 0o600);
        let (document, findings) = read(dir.path()).unwrap();
        assert_eq!((document.providers.len(), document.credentials.len()), (1, 1));
        assert!(matches!(&document.credentials[0].private_key, Some(Text::Inline(_))));
        assert_eq!(document.source, Some(source(&dir.path().join("keys/.."))));
        assert!(findings.is_empty(), "{findings:?}");
    }

    #[test]
    fn a_secrets_file_that_others_may_open_is_a_fault_with_line_and_fix() {
        let dir = Dir::new();
        dir.put("a.toml", &format!("{PROVIDER}{CREDENTIAL}"), 0o600);
        dir.put("keys/ann.key", "c2VjcmV0", 0o640);
        let faults = dir.faults();
        assert!(faults.contains("a.toml:8:"), "{faults}");
        assert!(faults.contains("private_key_file"), "{faults}");
        assert!(faults.contains("chmod 600"), "{faults}");
        assert!(!faults.contains("c2VjcmV0"), "{faults}");
    }

    #[test]
    fn faults_of_all_files_come_at_once() {
        let dir = Dir::new();
        dir.put("a.toml", CREDENTIAL, 0o600);
        dir.put("b.toml", "[[provider]]\nnmae = \"x\"\n", 0o600);
        dir.put("c.toml", "[[", 0o600);
        let faults = dir.faults();
        for expected in ["a.toml:5:", "b.toml:2:", "c.toml:1:"] {
            assert!(faults.contains(expected), "{expected} is missing:\n{faults}");
        }
    }

    #[test]
    fn what_is_not_a_small_text_file_is_refused() {
        let dir = Dir::new();
        dir.put("a.toml", CREDENTIAL, 0o600);
        let key = dir.path().join("keys/ann.key");
        fs::create_dir(&key).unwrap();
        assert!(dir.faults().contains("not a regular file"));
        fs::remove_dir(&key).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &key, fifo, mode, 0).unwrap();
        assert!(dir.faults().contains("not a regular file"));
        fs::remove_file(&key).unwrap();
        dir.put("keys/ann.key", &"x".repeat(2 << 20), 0o600);
        assert!(dir.faults().contains("over 1048576 bytes"));
        fs::write(&key, b"\xff\xfe").unwrap();
        assert!(dir.faults().contains("not UTF-8"));
    }

    #[test]
    fn a_missing_or_empty_path_is_a_fault_that_names_it() {
        let dir = Dir::new();
        assert!(dir.faults().contains("no *.toml"));
        let missing = read(&dir.path().join("x.toml")).unwrap_err().to_string();
        assert!(missing.contains("x.toml: cannot be read"), "{missing}");
    }

    #[test]
    fn inline_secrets_in_a_file_for_everybody_are_a_warning() {
        let dir = Dir::new();
        let inline =
            CREDENTIAL.replace("private_key_file = \"keys/ann.key\"", "private_key = \"k\"");
        dir.put("a.toml", &inline, 0o644);
        let (_, findings) = read(&dir.path().join("a.toml")).unwrap();
        assert!(findings.iter().any(|finding| finding.message.contains("chmod 600")));
        dir.put("a.toml", &inline, 0o600);
        assert!(read(&dir.path().join("a.toml")).unwrap().1.is_empty());
    }
}
