//! Who connects.

use std::{
    os::unix::{net::UnixListener, process::CommandExt},
    process::Command,
};

use egress_linux::peer::credentials;

#[test]
fn a_peer_is_known_by_its_process_user_group_and_all_its_groups() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    for path in [dir.path(), &path] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .unwrap();
    }
    let program = "import os, socket, sys\n\
        os.setgroups(range(3000, 3040)); os.setgid(2001); os.setuid(2002)\n\
        s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()";
    let mut child = Command::new("python3")
        .args(["-c", program, path.to_str().unwrap()])
        .stdin(std::process::Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let peer = credentials(listener.accept().unwrap().0).unwrap();
    assert_eq!((peer.pid, peer.uid, peer.gid), (child.id(), 2002, 2001));
    assert_eq!(peer.groups, (3000..3040).collect::<Vec<u32>>());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}
