//! How a request names a network namespace.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::Finding;

/// How a request names a network namespace. What is read is the one name that all ways to write it
/// share, so that names can be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", from = "Written")]
pub enum NetnsRef {
    /// A file of the namespace file system under one of the configured roots; no part of the path
    /// may be a symbolic link. `/var/run` is read as `/run`.
    #[schema(value_type = String)]
    Path(PathBuf),
    /// A process in it, which the caller could send a signal to.
    Pid(i32),
}

/// A reference as it came.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Written {
    Path(PathBuf),
    Pid(i32),
}

impl From<Written> for NetnsRef {
    fn from(written: Written) -> Self {
        match written {
            Written::Path(path) => {
                process(&path).map_or_else(|| Self::Path(of_run(path)), Self::Pid)
            }
            Written::Pid(pid) => Self::Pid(pid),
        }
    }
}

impl NetnsRef {
    pub(super) fn fault(&self) -> Option<Finding> {
        match self {
            Self::Path(path) if !path.is_absolute() => {
                Some(Finding::fault("expected a path from `/`").about("netns.path"))
            }
            Self::Pid(pid) if *pid < 1 => {
                Some(Finding::fault("expected the number of a process").about("netns.pid"))
            }
            Self::Path(_) | Self::Pid(_) => None,
        }
    }
}

/// Reads `/var/run/…` as `/run/…`: engines print the former, which is a link on every system of
/// today, and the agent follows none.
pub fn of_run(path: PathBuf) -> PathBuf {
    match path.strip_prefix("/var/run") {
        Ok(below) => Path::new("/run").join(below),
        Err(_) => path,
    }
}

/// The process of `/proc/PID/ns/net`: that is a magic link, which no path may go through.
fn process(path: &Path) -> Option<i32> {
    let pid = path.to_str()?.strip_prefix("/proc/")?.strip_suffix("/ns/net")?;
    let digits = pid.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| pid.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> NetnsRef {
        serde_json::from_value(serde_json::json!({ "path": path })).unwrap()
    }

    #[test]
    fn a_name_reads_the_same_however_it_is_written() {
        let path = |text: &str| NetnsRef::Path(text.into());
        assert_eq!(read("/var/run/docker/netns/x"), path("/run/docker/netns/x"));
        assert_eq!(read("/var//run/./netns/x"), path("/run/netns/x"));
        assert_eq!(read("/proc/4711/ns/net"), NetnsRef::Pid(4711));
        // Whether these lead anywhere is for the roots to say.
        for other in ["/var/runs/x", "/x/var/run/x", "var/run/x", "/run/x", "/proc/self/ns/net"] {
            assert_eq!(read(other), path(other));
        }
        assert_eq!(read("/proc/+7/ns/net"), path("/proc/+7/ns/net"));
        assert_eq!(read("/proc/99999999999/ns/net"), path("/proc/99999999999/ns/net"));
    }

    #[test]
    fn going_up_from_var_run_is_going_up_from_run() {
        assert_eq!(read("/var/run/../etc/x"), NetnsRef::Path("/run/../etc/x".into()));
    }
}
