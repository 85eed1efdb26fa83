//! The resolvers that a container asks, against those that its tunnel lets it ask.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Duration;

use egress_core::api::NetnsRef;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// Where it is, from the container's root.
const RESOLV_CONF: &str = "etc/resolv.conf";
/// The most bytes that are looked at.
const SIZE_MAX: u64 = 64 << 10;
/// As many resolvers count for the C library.
const RESOLVERS_MAX: usize = 3;
/// A container's file system may answer as late as it likes, or never.
const PATIENCE: Duration = Duration::from_millis(100);
/// Files that are read at a time, those of file systems that never answer among them.
static READERS: Semaphore = Semaphore::const_new(4);

/// Says what is wrong with the container's resolvers, where a process in it was named. What cannot
/// be read is no reason to say anything.
pub async fn warning(netns: &NetnsRef, dns: &[IpAddr]) -> Option<String> {
    let NetnsRef::Pid(pid) = *netns else { return None };
    if dns.is_empty() {
        return None;
    }
    let permit = READERS.try_acquire().ok()?;
    let (named_tx, named_rx) = oneshot::channel();
    // Nobody waits for this thread when the agent ends.
    let reader = thread::Builder::new().name("resolv-conf".to_owned()).spawn(move || {
        let named =
            open(format!("/proc/{pid}/root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .map_err(io::Error::from)
                .and_then(named_below);
        drop(permit);
        let _ = named_tx.send(named);
    });
    reader.ok()?;
    let named = timeout(PATIENCE, named_rx).await.ok()?.ok()?.ok()?;
    difference(&named, dns)
}

/// The resolvers that the file below a root names. Links lead nowhere out of that, and nothing but
/// a file is opened.
fn named_below(root: impl AsFd) -> io::Result<Vec<IpAddr>> {
    let in_root = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let place = OFlags::PATH | OFlags::CLOEXEC;
    let found = openat2(root, RESOLV_CONF, place, Mode::empty(), in_root)?;
    if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let again = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(open(again, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    file.take(SIZE_MAX).read_to_end(&mut bytes)?;
    Ok(named(&String::from_utf8_lossy(&bytes)))
}

fn named(text: &str) -> Vec<IpAddr> {
    let resolvers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        address.split('%').next()?.parse().ok()
    });
    resolvers.take(RESOLVERS_MAX).collect()
}

fn difference(named: &[IpAddr], dns: &[IpAddr]) -> Option<String> {
    let others: Vec<_> = named.iter().filter(|resolver| !dns.contains(resolver)).collect();
    let list = |all: &mut dyn Iterator<Item = &IpAddr>| {
        all.map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let is_to_name = format!("it is to name {}", list(&mut dns.iter()));
    if named.is_empty() {
        return Some(format!("the container's /etc/resolv.conf names no resolver: {is_to_name}"));
    }
    let others = (!others.is_empty()).then(|| list(&mut others.into_iter()))?;
    Some(format!(
        "the container's /etc/resolv.conf names {others}, which it cannot reach: {is_to_name}"
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;

    fn root() -> TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::create_dir_all(root.path().join("run")).unwrap();
        root
    }

    fn read(root: &Path) -> io::Result<Vec<IpAddr>> {
        named_below(open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap())
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn resolvers_are_read_as_the_c_library_does() {
        let text = "# nameserver 1.1.1.1\nnameserver 10.64.0.1\nnameserver  fe80::1%eth0\n\
                    options ndots:5\nnameserver here\nnameserver 9.9.9.9\nnameserver 8.8.8.8\n";
        assert_eq!(named(text), addresses(&["10.64.0.1", "fe80::1", "9.9.9.9"]));
    }

    #[test]
    fn a_link_leads_nowhere_but_below_the_containers_root() {
        let root = root();
        fs::write(root.path().join("run/resolv.conf"), "nameserver 10.0.0.1\n").unwrap();
        symlink("/run/resolv.conf", root.path().join("etc/resolv.conf")).unwrap();
        assert_eq!(read(root.path()).unwrap(), addresses(&["10.0.0.1"]));
        let outside = tempfile::tempdir().unwrap();
        let secret = outside.path().join("resolv.conf");
        fs::write(&secret, "nameserver 10.0.0.9\n").unwrap();
        for target in [secret.display().to_string(), format!("../../../../{}", secret.display())] {
            fs::remove_file(root.path().join("etc/resolv.conf")).unwrap();
            symlink(target, root.path().join("etc/resolv.conf")).unwrap();
            read(root.path()).unwrap_err();
        }
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let root = root();
        let at = root.path().join("etc/resolv.conf");
        let mode = Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &at, FileType::Fifo, mode, 0).unwrap();
        read(root.path()).unwrap_err();
        fs::remove_file(&at).unwrap();
        fs::create_dir(&at).unwrap();
        read(root.path()).unwrap_err();
    }

    #[test]
    fn a_large_file_is_read_in_part() {
        let root = root();
        let text = "# filler\n".repeat(100_000) + "nameserver 10.0.0.1\n";
        fs::write(root.path().join("etc/resolv.conf"), text).unwrap();
        assert_eq!(read(root.path()).unwrap(), addresses(&[]));
    }

    #[test]
    fn only_what_differs_is_told() {
        let dns = addresses(&["10.64.0.1", "fd00::1"]);
        assert_eq!(difference(&dns, &dns), None);
        assert_eq!(difference(&dns[..1], &dns), None);
        let told = difference(&addresses(&["10.64.0.1", "8.8.8.8"]), &dns).unwrap();
        assert!(told.contains("names 8.8.8.8, which"), "{told}");
        assert!(told.ends_with("it is to name 10.64.0.1, fd00::1"), "{told}");
        assert!(difference(&[], &dns).unwrap().contains("names no resolver"));
    }
}
