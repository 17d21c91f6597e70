//! The table of mounts (/proc/self/mountinfo): which file system holds a path, of what kind.

use super::machine::Machine;
use std::path::Path;

/// What kind of storage a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// Files are memory.
    Memory,
    /// Other nodes have it too.
    Network,
    /// A layer of a container.
    Layer,
    /// A disk of this machine.
    Disk,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it stands.
    pub(super) place: String,
    /// Its type, `ext4` for example.
    pub(super) kind: String,
    /// What is mounted.
    pub(super) source: String,
    /// Its option `size`, bytes.
    pub(super) size_bytes: Option<u64>,
}

/// All mounts, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(super) struct Mounts(Vec<Mount>);

impl Mounts {
    pub(super) fn of(machine: &Machine) -> Self {
        let text = machine.read("proc/self/mountinfo").unwrap_or_default();
        Self(text.lines().filter_map(mount).collect())
    }

    /// The mount that holds an absolute path: the longest one above it, the last of equals.
    pub(super) fn holding(&self, path: impl AsRef<Path>) -> Option<&Mount> {
        let path = path.as_ref();
        let above = self.0.iter().filter(|mount| path.starts_with(&mount.place));
        above.max_by_key(|mount| mount.place.len())
    }
}

impl Mount {
    pub(super) fn storage(&self) -> Storage {
        match self.kind.as_str() {
            "tmpfs" | "ramfs" | "devtmpfs" => Storage::Memory,
            "overlay" | "aufs" | "fuse.fuse-overlayfs" | "squashfs" => Storage::Layer,
            "nfs" | "nfs4" | "lustre" | "gpfs" | "beegfs" | "ceph" | "afs" | "cifs" | "smb3"
            | "panfs" | "pvfs2" | "glusterfs" | "wekafs" | "9p" | "virtiofs" => Storage::Network,
            kind if kind.starts_with("fuse.") => Storage::Network,
            _ => Storage::Disk,
        }
    }
}

/// `ID PARENT DEV ROOT PLACE OPTIONS … - KIND SOURCE OPTIONS`
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let place = unescaped(before.split(' ').nth(4)?);
    let mut after = after.split(' ');
    let (kind, source) = (after.next()?.to_owned(), unescaped(after.next()?));
    let size = after.next()?.split(',').find_map(|option| option.strip_prefix("size="));
    Some(Mount { place, kind, source, size_bytes: size.and_then(size_bytes) })
}

/// A number with `k`, `m` or `g`, as a tmpfs shows it.
fn size_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match &text[digits.len()..] {
        "" => Some(number),
        "k" => number.checked_mul(1 << 10),
        "m" => number.checked_mul(1 << 20),
        "g" => number.checked_mul(1 << 30),
        _ => None,
    }
}

/// Blanks stand as `\040` in the table.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(text: &str) -> Mounts {
        Mounts(text.lines().filter_map(mount).collect())
    }

    #[test]
    fn the_nearest_mount_above_holds_a_path() {
        let mounts = mounts(
            "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
             21 20 0:20 / /tmp rw,nosuid shared:3 - tmpfs tmpfs rw,size=2097152k,mode=1777\n\
             22 20 0:21 / /a\\040b rw - lustre 10.0.0.1@o2ib:/fs rw,flock\n\
             23 20 8:2 / /tmp rw - xfs /dev/nvme0n1 rw\n\
             broken line\n",
        );
        let holder = |path: &str| mounts.holding(path).unwrap();
        assert_eq!(holder("/tmpfile").source, "/dev/sda1");
        assert_eq!(holder("/tmp/x").kind, "xfs");
        assert_eq!(holder("/a b/c").storage(), Storage::Network);
        assert_eq!(mounts.0[1].size_bytes, Some(2 << 30));
        assert_eq!(mounts.0[1].storage(), Storage::Memory);
        assert_eq!(Mounts::default().holding("/"), None);
    }
}
