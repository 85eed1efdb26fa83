//! Opening and entering namespaces.

use std::{
    collections::HashSet,
    path::PathBuf,
    process::{Command, Stdio},
};

use egress_linux::{
    link::links,
    netns::{EnterError, Netns, boot_id, own_cookie},
};

use crate::host::{name, netns, on_a_host};

fn roots() -> Vec<PathBuf> {
    vec!["/run/docker/netns".into(), "/run/netns".into()]
}

#[test]
fn a_namespace_mounted_under_a_root_is_opened_and_is_the_same_one() {
    on_a_host(|| {
        let made = netns();
        let path = name(&made, "web");
        assert_eq!(Netns::open_path(&path, &roots()).unwrap().cookie(), made.cookie());
    });
}

#[test]
fn a_root_may_itself_be_a_link() {
    on_a_host(|| {
        let made = netns();
        name(&made, "web");
        std::os::unix::fs::symlink("/run/netns", "/run/elsewhere").unwrap();
        let opened = Netns::open_path("/run/elsewhere/web".as_ref(), &["/run/elsewhere".into()]);
        assert_eq!(opened.unwrap().cookie(), made.cookie());
    });
}

#[test]
fn the_namespace_of_a_process_is_opened_by_its_number() {
    on_a_host(|| {
        let made = netns();
        let start = || Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let mut sleeper = made.run(start).unwrap();
        let (opened, process) = Netns::open_pid(sleeper.id()).unwrap();
        assert_eq!(opened.cookie(), made.cookie());
        assert_eq!(process.process_uid().unwrap(), 0);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert!(!process.alive());
    });
}

#[test]
fn work_inside_sees_that_namespace_and_leaves_the_caller_where_it_was() {
    on_a_host(|| {
        let host = own_cookie().unwrap();
        let container = netns();
        let inside = container.run(|| own_cookie().unwrap()).unwrap();
        assert_eq!(inside, container.cookie());
        assert_ne!(inside, host);
        assert_eq!(own_cookie().unwrap(), host);
        let links = container.run(|| links().unwrap()).unwrap();
        assert!(matches!(links.as_slice(), [lo] if lo.loopback && !lo.up), "{links:?}");
    });
}

#[test]
fn a_panic_inside_is_an_error_and_leaves_the_caller_where_it_was() {
    on_a_host(|| {
        let host = own_cookie().unwrap();
        let result = netns().run(|| panic!("no such {}", "luck"));
        assert!(matches!(result, Err(EnterError::Panicked(why)) if why == "no such luck"));
        assert_eq!(own_cookie().unwrap(), host);
    });
}

#[test]
fn a_cookie_is_never_used_twice() {
    on_a_host(|| {
        let cookies: HashSet<u64> = (0..20).map(|_| netns().cookie()).collect();
        assert_eq!(cookies.len(), 20);
    });
}

#[test]
fn the_boot_has_a_name_that_stays() {
    let id = boot_id().unwrap();
    assert_eq!(id.len(), 36, "{id}");
    assert_eq!(id, boot_id().unwrap());
}
