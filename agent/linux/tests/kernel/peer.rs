//! Who connects.

use std::{
    fs::{Permissions, set_permissions},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    thread,
};

use egress_linux::peer::{Peer, credentials};
use rustix::{
    process::{Gid, Uid},
    thread::{set_thread_gid, set_thread_groups, set_thread_uid},
};

#[test]
fn a_peer_is_known_by_its_process_user_group_and_all_its_groups() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    for path in [dir.path(), &path] {
        set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }
    let groups: Vec<u32> = (3000..3040).collect();
    let _client = thread::scope(|scope| {
        let client = scope.spawn(|| {
            set_thread_groups(&groups.iter().copied().map(Gid::from_raw).collect::<Vec<_>>())
                .unwrap();
            set_thread_gid(Gid::from_raw(2001)).unwrap();
            set_thread_uid(Uid::from_raw(2002)).unwrap();
            UnixStream::connect(&path).unwrap()
        });
        client.join().unwrap()
    });
    let peer = credentials(listener.accept().unwrap().0).unwrap();
    assert_eq!(peer, Peer { pid: std::process::id(), uid: 2002, gid: 2001, groups });
}
