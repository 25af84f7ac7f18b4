//! The Debian package and the archive with install.sh: installed for real, in a copy of this machine's files that is thrown away,
//! with the rights that the service has and no others.

use crate::lab::{Lab, is_native, skip};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A tree over this machine's files, and what the scripts below have in common. `$R` is its root.
const TREE: &str = r#"
set -eu
R=$1 FILES=$2
mount --make-rprivate /
mount -t tmpfs tmpfs "$R"
mkdir "$R/over" "$R/work" "$R/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$R/over,workdir=$R/work" "$R/root"
R=$R/root
mount -t proc proc "$R/proc"
mount -t tmpfs tmpfs "$R/run"
mkdir -p "$R/files"
cp "$FILES"/* "$R/files/"
ip link set lo up
in_tree() { chroot "$R" "$@"; }
is() { [ "$2" = "$3" ] || { echo "$1: '$2', not '$3'" >&2; exit 1; }; }
gone() { for path; do [ ! -e "$R$path" ] || { echo "$path is still there" >&2; exit 1; }; done; }
there() { for path; do [ -e "$R$path" ] || { echo "$path is not there" >&2; exit 1; }; done; }

# A file that only root may read, and packets on the way: until both are in what the program wrote.
collects() {
    (umask 077; echo "for root alone" >"$R/var/log/collector-secret.log")
    is "rights of the log" "$(stat -c %a "$R/var/log/collector-secret.log")" 600
    tries=450
    until grep -qs "for root alone" "$R/var/lib/collector/out" && grep -qs '"dataset":"icmp"' "$R/var/lib/collector/out"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo "nothing was collected" >&2; cat "$R"/var/lib/collector/* >&2; exit 1; }
        bash -c 'echo x >/dev/udp/127.0.0.1/4711' || true
        sleep 0.2
    done
}

# A process is the user's, and may capture and read and nothing else.
has_rights() {
    status=$R/proc/$1/status
    uid=$(in_tree id -u collector)
    is user "$(awk '$1 == "Uid:" { print $2, $3, $4, $5 }' "$status")" "$uid $uid $uid $uid"
    for set in CapPrm CapEff CapBnd CapAmb; do
        is "$set" "$(awk -v s="$set:" '$1 == s { print $2 }' "$status")" 0000000000002004
    done
    is NoNewPrivs "$(awk '$1 == "NoNewPrivs:" { print $2 }' "$status")" 1
}
"#;

/// What the service's file says, done by hand; then an upgrade, a removal, a purge.
const DEB: &str = r#"
in_tree dpkg -i /files/first.deb
there /usr/bin/collector /usr/lib/systemd/system/collector.service
is "state's rights" "$(in_tree stat -c '%U %G %a' /var/lib/collector)" "collector collector 750"
in_tree /usr/bin/collector -c /etc/collector/fluent-bit.conf --dry-run
if in_tree sh -c 'command -v systemd-analyze' >/dev/null; then
    in_tree systemd-analyze verify /usr/lib/systemd/system/collector.service
    echo "the unit is right"
fi
cp "$R/files/own.conf" "$R/etc/collector/fluent-bit.conf"

unit() { sed -n "s/^$1=//p" "$R/usr/lib/systemd/system/collector.service"; }
rights() { unit "$1" | tr A-Z a-z | sed 's/cap_/+/g; s/ /,/g; s/^/-all,/'; }
is NoNewPrivileges "$(unit NoNewPrivileges)" yes
chroot "$R" setpriv --reuid "$(unit User)" --regid "$(unit Group)" --init-groups --no-new-privs --inh-caps "$(rights AmbientCapabilities)" \
    --ambient-caps "$(rights AmbientCapabilities)" --bounding-set "$(rights CapabilityBoundingSet)" $(unit ExecStart) &
pid=$!
collects
has_rights $pid
kill $pid
wait $pid

in_tree dpkg -i /files/second.deb
is version "$(in_tree dpkg-query -W -f '${Version}' collector)" "$3"
cmp "$R/files/own.conf" "$R/etc/collector/fluent-bit.conf"
there /var/lib/collector/out
in_tree dpkg -r collector
gone /usr/bin/collector /usr/lib/systemd/system/collector.service
there /etc/collector/fluent-bit.conf /etc/default/collector /var/lib/collector/out
in_tree dpkg -P collector
gone /etc/collector /etc/default/collector /var/lib/collector
! in_tree id collector 2>/dev/null
echo "all is well"
"#;

/// A system without systemd.
const ARCHIVE: &str = r#"
rm -f "$R/usr/bin/systemctl" "$R/bin/systemctl"
mkdir -p "$R/etc/init.d"
in_tree sh -c 'cd /files && tar xf archive.tar && mv collector-*/ new'
in_tree /files/new/install.sh
there /usr/local/bin/collector /etc/collector/fluent-bit.conf /etc/init.d/collector
list() { find "$R/usr/local" "$R/etc/collector" "$R/etc/default" "$R/etc/init.d" -type f -exec md5sum {} + | sort; }
before=$(list)
in_tree /files/new/install.sh
is "the files after a second time" "$(list)" "$before"

cp "$R/files/own.conf" "$R/etc/collector/fluent-bit.conf"
in_tree /files/new/install.sh
gone /etc/collector/fluent-bit.conf.new
echo "@SET later=1" >>"$R/files/new/fluent-bit.conf"
echo "@SET later=1" >>"$R/files/new/parsers.conf"
in_tree /files/new/install.sh
cmp "$R/files/own.conf" "$R/etc/collector/fluent-bit.conf"
cmp "$R/files/new/fluent-bit.conf" "$R/etc/collector/fluent-bit.conf.new"
cmp "$R/files/new/parsers.conf" "$R/etc/collector/parsers.conf"

in_tree /etc/init.d/collector start
collects
has_rights "$(cat "$R/run/collector.pid")"
in_tree /etc/init.d/collector status
in_tree /etc/init.d/collector restart
in_tree /etc/init.d/collector status
in_tree /usr/local/share/collector/install.sh uninstall
gone /usr/local/bin/collector /etc/init.d/collector /run/collector.pid
there /etc/collector/fluent-bit.conf /var/lib/collector/out
in_tree /files/new/install.sh purge
gone /etc/collector /etc/default/collector /var/lib/collector /usr/local/share/collector
! in_tree id collector 2>/dev/null
echo "all is well"
"#;

/// What it collects: a log, and packets.
const OWN: &str = "[SERVICE]\n    Flush 0.2\n[INPUT]\n    Name tail\n    Path /var/log/collector-secret.log\n    Refresh_Interval 1\n    \
    Read_from_Head On\n[INPUT]\n    Name pcap\n    Interface lo\n    BPF_Filter icmp\n[OUTPUT]\n    \
    Name file\n    Match *\n    Path /var/lib/collector\n    File out\n    Format plain\n";

/// Packs the program under test; the package and the archive.
fn pack(lab: &Lab, folder: &str, revision: &str) -> (PathBuf, PathBuf) {
    let bin = std::env::var("COLLECTOR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_collector").into());
    let dir = lab.path(folder);
    fs::create_dir(&dir).unwrap();
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let program = dir.join(format!("collector-{VERSION}-{target}"));
    std::os::unix::fs::symlink(fs::canonicalize(bin).unwrap(), &program).unwrap();
    let ran = Command::new(Path::new(ROOT).join("cross/package.sh"))
        .arg(&program)
        .envs([("PACKAGE_COMPRESSION", "none"), ("SOURCE_DATE_EPOCH", "1700000000"), ("PACKAGE_REVISION", revision)])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said = String::from_utf8(ran.stdout).unwrap();
    let mut files = said.lines().map(PathBuf::from);
    (files.next().unwrap(), files.next().unwrap())
}

fn has(tool: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().is_ok_and(|o| o.status.success());
    if !found {
        skip(&format!("packages: no {tool}"));
    }
    found
}

/// Packing takes processors that Debian knows, and the program runs here.
fn may_pack() -> bool {
    ["dpkg-deb", "bash", "tar"].into_iter().all(has) && is_native()
}

/// Runs a script as root of a tree that is thrown away; `None`, said, where that cannot be.
fn in_a_tree(lab: &Lab, script: &str, version: &str) -> Option<String> {
    if !["unshare", "setpriv", "ip", "dpkg", "start-stop-daemon"].into_iter().all(has) {
        return None;
    }
    let tree = lab.path("tree");
    fs::create_dir(&tree).unwrap();
    let inner = |script: &str| {
        let script = format!("{TREE}\n{script}");
        let words = ["-m", "-n", "-p", "-f", "--kill-child", "sh", "-c", &script, "sh"];
        let mut run = Command::new("unshare");
        run.args(words).arg(&tree).arg(lab.path("files")).arg(version).env("DEBIAN_FRONTEND", "noninteractive");
        run.output().unwrap()
    };
    let trial = inner("true");
    if !trial.status.success() {
        skip(&format!(
            "packages: no tree over this machine's files: {}",
            String::from_utf8_lossy(&trial.stderr).trim()
        ));
        return None;
    }
    let done = inner(script);
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{said}");
    Some(said)
}

fn read(words: &[&str], file: &Path) -> String {
    let o = Command::new(words[0]).args(&words[1..]).arg(file).output().unwrap();
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    String::from_utf8(o.stdout).unwrap()
}

#[test]
fn a_package_and_an_archive_hold_what_they_should() {
    if !may_pack() {
        return;
    }
    let lab = Lab::new("packages");
    let (deb, archive) = pack(&lab, "a", "");
    let control = read(&["dpkg-deb", "-f"], &deb);
    for line in ["Package: collector", &format!("Version: {VERSION}"), "Maintainer: collector developers"] {
        assert!(control.lines().any(|l| l == line), "{line}\n{control}");
    }
    let files = read(&["dpkg-deb", "-c"], &deb);
    for (rights, name) in [
        ("-rwxr-xr-x", "./usr/bin/collector"),
        ("-rw-r--r--", "./usr/lib/systemd/system/collector.service"),
        ("-rw-r--r--", "./etc/collector/fluent-bit.conf"),
        ("-rw-r--r--", "./etc/collector/parsers.conf"),
        ("-rw-r--r--", "./etc/default/collector"),
    ] {
        let fits = |l: &str| l.starts_with(&format!("{rights} root/root")) && l.ends_with(&format!(" {name}"));
        assert!(files.lines().any(fits), "{name}\n{files}");
    }
    let settings = read(&["dpkg-deb", "-I"], &deb).contains("conffiles");
    assert!(settings && read(&["sh", "-c", "dpkg-deb -I \"$0\" conffiles"], &deb).lines().count() == 3);
    let inside = read(&["tar", "tf"], &archive);
    for name in ["collector", "install.sh", "collector.service", "collector.init", "fluent-bit.conf", "parsers.conf"] {
        assert!(inside.lines().any(|l| l.ends_with(&format!("/{name}"))), "{name}\n{inside}");
    }
    // Again, later, elsewhere: the same bytes.
    let again = pack(&lab, "b", "");
    assert!(fs::read(&deb).unwrap() == fs::read(&again.0).unwrap(), "the package is another one");
    assert!(fs::read(&archive).unwrap() == fs::read(&again.1).unwrap(), "the archive is another one");
}

#[test]
fn a_package_is_installed_upgraded_removed_and_purged() {
    if !may_pack() {
        return;
    }
    let lab = Lab::new("packages-deb");
    fs::create_dir(lab.path("files")).unwrap();
    fs::rename(pack(&lab, "a", "").0, lab.path("files/first.deb")).unwrap();
    fs::rename(pack(&lab, "b", "1").0, lab.path("files/second.deb")).unwrap();
    lab.write("files/own.conf", OWN);
    let Some(said) = in_a_tree(&lab, DEB, &format!("{VERSION}-1")) else { return };
    assert!(said.contains("all is well"), "{said}");
    if !said.contains("the unit is right") {
        skip("packages: no systemd-analyze to check the unit");
    }
}

#[test]
fn an_archive_is_installed_where_there_is_no_systemd() {
    if !may_pack() {
        return;
    }
    let lab = Lab::new("packages-archive");
    fs::create_dir(lab.path("files")).unwrap();
    fs::rename(pack(&lab, "a", "").1, lab.path("files/archive.tar")).unwrap();
    lab.write("files/own.conf", OWN);
    let Some(said) = in_a_tree(&lab, ARCHIVE, "") else { return };
    assert!(said.contains("fluent-bit.conf was changed and stays") && said.contains("all is well"), "{said}");
}

#[test]
fn an_archive_is_installed_into_the_tree_of_another_system() {
    if !may_pack() {
        return;
    }
    let lab = Lab::new("packages-tree");
    let (_, archive) = pack(&lab, "a", "");
    read(&["tar", "-C", &lab.path("").display().to_string(), "-xf"], &archive);
    let from = lab.path(&format!("collector-{VERSION}-{}-unknown-linux-gnu", std::env::consts::ARCH));
    fs::create_dir_all(lab.path("card/usr/lib/systemd/system")).unwrap();
    let run = |word: &str| {
        let mut run = Command::new(from.join("install.sh"));
        let ran = run.arg(word).env("DESTDIR", lab.path("card")).env("PREFIX", "/opt/c").output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    };
    run("install");
    let unit = lab.read("card/etc/systemd/system/collector.service");
    assert!(unit.contains("\nExecStart=/opt/c/bin/collector -c /etc/collector/fluent-bit.conf\n"), "{unit}");
    assert!(lab.bytes("card/opt/c/bin/collector") == fs::read(from.join("collector")).unwrap());
    run("purge");
    assert!(!lab.path("card/opt/c/bin/collector").exists() && !lab.path("card/etc/collector").exists());
}
