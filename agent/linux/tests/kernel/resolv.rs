//! A resolv.conf of one's own.

use std::{fs, os::unix::fs::symlink, process::Command, thread};

use egress_linux::resolv::{ResolvError, in_private_mounts_with_resolv_conf};

use crate::host::on_a_host;

const PATH: &str = "/etc/resolv.conf";
const TEXT: &str = "nameserver 10.64.0.1\n";

fn seen_by_a_child() -> String {
    let cat = Command::new("cat").arg(PATH).output().unwrap();
    String::from_utf8(cat.stdout).unwrap()
}

#[test]
fn a_thread_and_its_children_read_their_own_and_others_the_hosts() {
    on_a_host(|| {
        // The machine may have none.
        private_etc();
        let before = "nameserver 192.0.2.53\n";
        fs::write(PATH, before).unwrap();
        let inside = thread::spawn(|| {
            in_private_mounts_with_resolv_conf(TEXT).unwrap();
            (seen_by_a_child(), fs::exists("/run/netns").unwrap())
        });
        assert_eq!(inside.join().unwrap(), (TEXT.to_owned(), true));
        assert_eq!(seen_by_a_child(), before);
    });
}

#[test]
fn a_link_into_run_is_covered_where_it_leads() {
    on_a_host(|| {
        private_etc();
        fs::write("/run/stub.conf", "nameserver 127.0.0.53\n").unwrap();
        symlink("../run/stub.conf", PATH).unwrap();
        in_private_mounts_with_resolv_conf(TEXT).unwrap();
        assert_eq!(seen_by_a_child(), TEXT);
    });
}

#[test]
fn a_link_to_nothing_is_an_error() {
    on_a_host(|| {
        private_etc();
        symlink("/run/nowhere", PATH).unwrap();
        let result = in_private_mounts_with_resolv_conf(TEXT);
        assert!(matches!(result, Err(ResolvError::Missing(_))), "{result:?}");
    });
}

fn private_etc() {
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", "/etc", "tmpfs", flags, None).unwrap();
}
