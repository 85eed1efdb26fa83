//! Hearing of dead namespaces.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use egress_linux::{
    death::{Watch, WatchError},
    tun::{self, Offload},
};
use rustix::io::Errno;

use crate::host::{netns, on_a_host, readable};

/// The deaths that are told within a second, until there are `count`.
pub fn deaths(watch: &Watch, count: usize) -> Vec<u64> {
    let end = Instant::now() + Duration::from_secs(1);
    let mut dead = Vec::new();
    while dead.len() < count && readable(watch, end.saturating_duration_since(Instant::now())) {
        dead.extend(watch.read().unwrap());
    }
    dead
}

#[test]
fn the_death_of_a_namespace_that_nobody_holds_is_told_within_a_second() {
    on_a_host(|| {
        let watch = Watch::open().unwrap();
        let container = netns();
        let cookie = container.cookie();
        watch.watch(&container).unwrap();
        watch.watch(&container).unwrap();
        drop(container);
        assert_eq!(deaths(&watch, 1), [cookie]);
        assert_eq!(watch.read().unwrap(), [0; 0], "told twice");
    });
}

#[test]
fn a_namespace_that_is_held_is_not_told_dead() {
    on_a_host(|| {
        let watch = Watch::open().unwrap();
        let container = netns();
        watch.watch(&container).unwrap();
        drop(netns());
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(watch.read().unwrap(), [0; 0]);
    });
}

#[test]
fn a_device_moved_inside_does_not_keep_a_namespace_alive_and_dies_with_it() {
    on_a_host(|| {
        let watch = Watch::open().unwrap();
        let container = netns();
        let cookie = container.cookie();
        let device = tun::create("t0", 1420, Offload::Off).unwrap();
        tun::move_into(device.index, &container, "eg0").unwrap();
        watch.watch(&container).unwrap();
        drop(container);
        assert_eq!(deaths(&watch, 1), [cookie]);
        // For an instant it polls as an error and reads as empty.
        let end = Instant::now() + Duration::from_secs(1);
        let read = || rustix::io::read(&device.fd, &mut [0; 2048]);
        while read() == Err(Errno::AGAIN) && Instant::now() < end {
            assert!(readable(&device.fd, Duration::from_secs(1)));
        }
        assert_eq!(read(), Err(Errno::BADFD));
    });
}

#[test]
fn forty_that_die_at_once_are_all_told() {
    on_a_host(|| {
        let watch = Watch::open().unwrap();
        let containers: Vec<_> = (0..40).map(|_| netns()).collect();
        let cookies: HashSet<u64> =
            containers.iter().map(egress_linux::netns::Netns::cookie).collect();
        for container in &containers {
            watch.watch(container).unwrap();
        }
        drop(containers);
        assert_eq!(HashSet::from_iter(deaths(&watch, 40)), cookies);
    });
}

#[test]
fn the_next_namespace_with_the_same_id_is_told_as_itself() {
    on_a_host(|| {
        let watch = Watch::open().unwrap();
        for _ in 0..5 {
            let container = netns();
            let cookie = container.cookie();
            watch.watch(&container).unwrap();
            drop(container);
            assert_eq!(deaths(&watch, 1), [cookie]);
        }
    });
}

#[test]
fn more_deaths_than_the_socket_holds_are_told_as_lost_and_later_ones_again() {
    on_a_host(|| {
        let watch = Watch::open().unwrap();
        rustix::net::sockopt::set_socket_recv_buffer_size(&watch, 1).unwrap();
        let containers: Vec<_> = (0..40).map(|_| netns()).collect();
        for container in &containers {
            watch.watch(container).unwrap();
        }
        assert!(matches!(watch.read(), Err(WatchError::Lost)));
        drop(containers);
        std::thread::sleep(Duration::from_secs(1));
        assert!(matches!(watch.read(), Err(WatchError::Lost)));

        let container = netns();
        let cookie = container.cookie();
        watch.watch(&container).unwrap();
        drop(container);
        assert_eq!(deaths(&watch, 1), [cookie]);
    });
}
