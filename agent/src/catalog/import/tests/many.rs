//! Many files at once: directories, archives, and what the agent has already.

use std::io::{Cursor, Write as _};

use egress_core::catalog::Scope;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::*;

const NAMES: [&str; 3] = ["us-nyc.prod.example.com_udp", "city/AE Dubai", "USA-Washington"];

/// A directory of profiles that share a file beside each.
fn of_a_provider() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("city")).unwrap();
    for name in NAMES {
        fs::write(dir.path().join(format!("{name}.ovpn")), profile()).unwrap();
    }
    for below in ["ca.crt", "city/ca.crt", "README.txt"] {
        fs::write(dir.path().join(below), CA).unwrap();
    }
    dir
}

fn profile() -> &'static str {
    "client\ndev tun\nremote vpn.example 1194 udp\nremote-cert-tls server\nca ca.crt\n\
     auth-user-pass\n"
}

fn archive(entries: &[(&str, &[u8])]) -> (TempDir, PathBuf) {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    written_archive(&zip.finish().unwrap().into_inner())
}

fn written_archive(bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("provider.zip");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn batch(path: &Path) -> Batch {
    Batch::read(find(&[path.to_owned()]).unwrap(), &import(), None)
}

fn document(batch: &Batch, existing: &Existing) -> Document {
    let (import, place) = (import(), Place::default());
    let target = Target { provider: "nordic", limit: None, place, import: &import, existing };
    batch.document(&target, Some(&login()))
}

fn existing(catalog: &Catalog) -> Existing {
    let records = catalog.records();
    Existing::of(
        (&records.providers[0]).into(),
        records.gateways.iter().map(Into::into).collect(),
        records.mappings.iter().map(Into::into).collect(),
        records.credentials.iter().map(Into::into).collect(),
    )
}

fn refusals(batch: &Batch) -> Vec<String> {
    batch.refused.iter().flat_map(|it| &it.faults).map(ToString::to_string).collect()
}

#[test]
fn a_directory_becomes_one_provider_with_one_credential_and_a_gateway_a_file() {
    let dir = of_a_provider();
    let document = document(&batch(dir.path()), &Existing::default());
    let (plan, _) = document.against(&Catalog::default(), Uuid::now_v7).unwrap();
    let records = plan.catalog.records();
    let counts = (records.providers.len(), records.mappings.len(), records.credentials.len());
    assert_eq!(counts, (1, 1, 1));
    let mut places: Vec<_> =
        records.gateways.iter().map(|it| (&*it.name, &*it.country, &*it.city)).collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [
            ("USA-Washington", "United States", "Washington"),
            ("city/AE Dubai", "United Arab Emirates", "Dubai"),
            ("us-nyc.prod.example.com_udp", "United States", "New York"),
        ]
    );
    assert!(records.gateways.iter().all(|it| it.config.contains("<ca>")));
}

#[test]
fn an_archive_gives_what_its_directory_would() {
    let dir = of_a_provider();
    let at = |name: &str| format!("provider-2026/{name}.ovpn");
    let names = NAMES.map(at);
    let mut entries: Vec<(&str, &[u8])> =
        names.iter().map(|name| (name.as_str(), profile().as_bytes())).collect();
    entries.push(("provider-2026/ca.crt", CA.as_bytes()));
    entries.push(("./provider-2026\\city\\ca.crt", CA.as_bytes()));
    let (_zip, path) = archive(&entries);
    let of_archive = document(&batch(&path), &Existing::default());
    let of_directory = document(&batch(dir.path()), &Existing::default());
    assert_eq!(format!("{of_archive:?}"), format!("{of_directory:?}"));
}

#[test]
fn the_same_again_changes_nothing_and_leaves_what_an_admin_has_set() {
    let dir = of_a_provider();
    let batch = batch(dir.path());
    let first = document(&batch, &Existing::default());
    let (plan, _) = first.against(&Catalog::default(), Uuid::now_v7).unwrap();
    let mut records = plan.catalog.records();
    records.gateways[1].enabled = false;
    records.gateways[1].country = "Atlantis".to_owned();
    records.credentials[0].account = Some("household".to_owned());
    let (catalog, _) = Catalog::new(records).expect("the records are sound");
    let again = document(&batch, &existing(&catalog));
    let (plan, _) = again.against(&catalog, Uuid::now_v7).unwrap();
    assert_eq!((plan.created.len(), plan.updated.len()), (0, 0), "{:?}", plan.updated);
}

#[test]
fn files_with_faults_are_left_out_each_with_its_reason() {
    let dir = of_a_provider();
    fs::write(dir.path().join("broken.ovpn"), profile().replace("dev tun", "dev tap")).unwrap();
    fs::write(dir.path().join("no-authority.ovpn"), profile().replace("ca.crt", "gone")).unwrap();
    fs::write(dir.path().join("USA-Washington.conf"), wg_quick(&[peer(9, None)])).unwrap();
    fs::write(dir.path().join("odd\u{1b}[2J.ovpn"), profile()).unwrap();
    let batch = batch(dir.path());
    assert_eq!((batch.len(), batch.refused.len()), (3, 4));
    let told = refusals(&batch).join("\n");
    for part in ["broken.ovpn:2: dev: ", "no-authority.ovpn:5: ca: ", "USA-Washington.", "odd"] {
        assert!(told.contains(part), "no {part} in {told}");
    }
    assert!(!told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn wireguard_files_share_a_credential_where_they_share_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let other =
        wg_quick(&[peer(9, None)]).replace(&STANDARD.encode(KEY), &STANDARD.encode([7; 32]));
    for (name, text) in [
        ("se-sto-wg-001", wg_quick(&[peer(9, None)])),
        ("se-sto-wg-002", wg_quick(&[peer(9, Some(PRESHARED))])),
        ("no-osl-wg-001", other),
    ] {
        fs::write(dir.path().join(format!("{name}.conf")), text).unwrap();
    }
    let document = document(&batch(dir.path()), &Existing::default());
    let scopes: Vec<_> = document
        .credentials
        .iter()
        .map(|it| match &it.gateways {
            Scope::Selected(names) => names.len(),
            Scope::All => panic!("{} opens other keys' gateways", it.name),
        })
        .collect();
    assert_eq!(scopes.iter().sum::<usize>(), 3);
    assert_eq!(scopes.len(), 2);
    let (plan, _) = document.against(&Catalog::default(), Uuid::now_v7).unwrap();
    let keyed =
        |it: &&egress_core::catalog::Gateway| it.config.contains(&STANDARD.encode(PRESHARED));
    let gateways = plan.catalog.records().gateways;
    let with_key: Vec<_> = gateways.iter().filter(keyed).map(|it| it.name.as_str()).collect();
    assert_eq!(with_key, ["se-sto-wg-002"], "a key that only one file has is its gateway's");
}

#[test]
fn an_archive_that_would_lead_out_of_itself_is_refused_with_a_word() {
    for name in ["../x.ovpn", "a/../../x.ovpn", "/etc/x.ovpn", "..\\x.ovpn", "a/../x.ovpn"] {
        let (_dir, path) = archive(&[("good.ovpn", profile().as_bytes()), (name, b"client\n")]);
        let fault = find(&[path]).err().unwrap_or_else(|| panic!("{name} is taken"));
        assert!(fault.message.contains("would lead out of the archive"), "{name}: {fault}");
    }
    let aside = profile().replace("ca.crt", "../../ca.crt");
    let (_dir, path) = archive(&[("a.ovpn", aside.as_bytes()), ("b.ovpn", b"client\n")]);
    assert_eq!(batch(&path).len(), 0);
}

#[test]
fn a_file_that_unpacks_to_too_much_is_left_out() {
    let large = vec![b'#'; 2 << 20];
    let (_dir, path) = archive(&[
        ("good.ovpn", profile().as_bytes()),
        ("ca.crt", CA.as_bytes()),
        ("large.ovpn", &large),
    ]);
    let batch = batch(&path);
    assert_eq!(batch.len(), 1);
    assert!(refusals(&batch)[0].contains("large.ovpn: over 1048576 bytes"), "{:?}", batch.refused);
}

#[test]
fn an_archive_that_unpacks_to_too_much_is_refused_with_a_word() {
    // Compressed once: that is what takes time.
    let (_dir, part) = archive(&[("part", &vec![b'#'; 1 << 20])]);
    let mut part = ZipArchive::new(fs::File::open(part).unwrap()).unwrap();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..129 {
        let part = part.by_index_raw(0).unwrap();
        zip.raw_copy_file_rename(part, format!("{number}.ovpn")).unwrap();
    }
    let (_dir, path) = written_archive(&zip.finish().unwrap().into_inner());
    let fault = find(&[path]).err().unwrap();
    assert!(fault.message.contains("135266304 bytes unpacked"), "{fault}");
}

#[test]
fn an_entry_is_no_longer_than_the_archive_tells() {
    let text = format!("{}{}", profile(), "# filler\n".repeat(1000));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("long.ovpn", SimpleFileOptions::default()).unwrap();
    zip.write_all(text.as_bytes()).unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    let length = u32::try_from(text.len()).unwrap().to_le_bytes();
    let at: Vec<_> = (0..bytes.len() - 4).filter(|at| bytes[*at..at + 4] == length).collect();
    assert!(!at.is_empty());
    for at in at {
        bytes[at..at + 4].copy_from_slice(&100_u32.to_le_bytes());
    }
    let (_dir, path) = written_archive(&bytes);
    let batch = batch(&path);
    assert_eq!((batch.len(), batch.refused.len()), (0, 1), "{:?}", refusals(&batch));
}

#[test]
fn an_archive_of_countless_entries_is_refused_before_room_is_made_for_them() {
    let (_dir, path) = written_archive(&b"PK\x01\x02".repeat(100_001));
    let fault = find(&[path]).err().unwrap();
    assert!(fault.message.contains("100001 entries: at most 100000"), "{fault}");
}

#[test]
fn what_only_ends_like_an_archive_is_refused_with_a_word() {
    let (_dir, path) = written_archive(b"no archive at all");
    let fault = find(&[path]).err().unwrap();
    assert!(fault.message.contains("not a ZIP archive"), "{fault}");
}

#[test]
fn a_link_out_of_a_directory_is_not_followed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = elsewhere.path().join("x.ovpn");
    fs::write(&secret, profile()).unwrap();
    let dir = of_a_provider();
    symlink(&secret, dir.path().join("out.ovpn")).unwrap();
    symlink("USA-Washington.ovpn", dir.path().join("within.ovpn")).unwrap();
    symlink(elsewhere.path(), dir.path().join("other")).unwrap();
    let batch = batch(dir.path());
    assert_eq!((batch.len(), batch.refused.len()), (4, 1), "{:?}", refusals(&batch));
    assert!(batch.refused[0].file.ends_with("out.ovpn"));
}
