//! The container image: its files run as a container would run them, on a root that cannot be written to, as process 1, with
//! neither privileges nor a shell; and the archive is what a registry accepts.
//!
//! The tree is that of `make image`, whose program `COLLECTOR_ROOTFS` names; otherwise it is put together from the program
//! under test, which then borrows the shared libraries of this machine.

use crate::lab::{Done, Group, Lab, Proc, free_port, is_native, program, skip, until};
use crate::web::send;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const MIB: u64 = 1 << 20;
/// What the files of an image may take, and what the program may hold.
const IMAGE_MIB: u64 = 8;
const MEMORY_MIB: u64 = 24;

/// The user of the image that is not root.
const UID: u32 = 65532;

/// What a container runtime does before it starts the program. The arguments are the root, a `:`-separated list of
/// `from=to[=rw]` mounts, a group of processes for its memory (or nothing), the program (which stands in the image) and its
/// arguments. Capabilities end with the change of user, and cannot come back.
const RUNTIME: &str = r#"
set -eu
root=$1 mounts=$2 group=$3
shift 4
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t tmpfs -o size=64k tmpfs "$root/dev"
touch "$root/dev/null" && mount --bind /dev/null "$root/dev/null"
IFS=:
for m in $mounts; do
    IFS== read -r from to how <<EOF
$m
EOF
    mount --bind "$from" "$root$to"
    [ "${how:-ro}" = rw ] || mount -o remount,bind,ro "$root$to"
done
unset IFS
mount -o remount,bind,ro "$root"
[ -z "$group" ] || echo $$ >"$group/cgroup.procs"
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+sys_chroot,+setuid,+setgid \
    chroot --userspec=65532:65532 --groups=65532 "$root" /fluent-bit/bin/fluent-bit "$@"
"#;

/// The tree of an image, and what is mounted into it.
struct Container {
    lab: Lab,
    root: PathBuf,
    mounts: Vec<String>,
    group: Option<Group>,
}

impl Container {
    /// `None`, said, where containers cannot be made.
    fn new(name: &str) -> Option<Self> {
        let may = Command::new("unshare").args(["-m", "-p", "-f", "setpriv", "--no-new-privs", "true"]).output();
        if !rustix::process::geteuid().is_root() || !may.is_ok_and(|o| o.status.success()) {
            skip("containers need root, unshare and setpriv");
            return None;
        }
        if !is_native() {
            return None;
        }
        let lab = Lab::new(name);
        let root = lab.path("root");
        // The tests' user must get there.
        fs::create_dir(&root).unwrap();
        let mut mounts = Vec::new();
        if let Some(made) = std::env::var_os("COLLECTOR_ROOTFS") {
            copy(&Path::new(&made).join("common"), &root);
            copy(&Path::new(&made).join("amd64"), &root);
        } else {
            let out = pack(&lab, &program(), "image.tar")?;
            copy(&out.with_extension("tar.rootfs").join("common"), &root);
            copy(&out.with_extension("tar.rootfs").join("amd64"), &root);
            for lib in ["/lib", "/lib64", "/usr/lib"].iter().filter(|l| Path::new(l).is_dir()) {
                mounts.push(format!("{lib}={lib}"));
            }
        }
        let container = Self { lab, root, mounts, group: None };
        // What a runtime makes where it mounts.
        ["proc", "dev", "lib", "lib64", "usr/lib"].iter().for_each(|d| container.folder(d));
        Some(container)
    }

    fn folder(&self, name: &str) {
        fs::create_dir_all(self.root.join(name)).unwrap();
    }

    /// Mounts a folder of the lab; what it holds then belongs to the user of the image.
    fn mount(&mut self, from: &str, to: &str, how: &str) {
        self.folder(to.trim_start_matches('/'));
        let path = self.lab.path(from);
        fs::create_dir_all(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(UID), Some(UID)).unwrap();
        self.mounts.push(format!("{}={to}={how}", path.display()));
    }

    /// A pipeline of the user's, as a ConfigMap is mounted: the folder with everything in it is replaced.
    fn config(&mut self, conf: &str) {
        self.lab.write("config/fluent-bit.conf", conf);
        self.mount("config", "/fluent-bit/etc", "ro");
    }

    fn command(&self, args: &[&str]) -> crate::lab::Command {
        let group = self.group.as_ref().map_or(String::new(), |g| g.path().display().to_string());
        let (root, mounts) = (self.root.display().to_string(), self.mounts.join(":"));
        let words = ["unshare", "-m", "-p", "-f", "--kill-child", "sh", "-c", RUNTIME, "sh", &root, &mounts, &group];
        self.lab.command(args).through(&words)
    }

    /// Starts it with the command of the image.
    fn start(&self) -> Running {
        Running { run: self.command(&["-c", "/fluent-bit/etc/fluent-bit.conf"]).start() }
    }
}

/// A container that runs.
struct Running {
    run: Proc,
}

impl Running {
    /// Its first process; `unshare` waits for it.
    fn init(&self) -> Option<Pid> {
        let of = self.run.pid();
        let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
        Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
    }

    /// A field of its `/proc/PID/status`.
    fn status(&self, field: &str) -> String {
        let pid = self.init().unwrap().as_raw_nonzero();
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = text.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// CPU time so far.
    fn ticks(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.init().unwrap().as_raw_nonzero())).unwrap();
        let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// SIGTERM, as at the end of a pod, then its end.
    fn stop(self) -> Done {
        kill_process(self.init().unwrap(), Signal::TERM).unwrap();
        self.run.wait()
    }
}

/// Puts an image together; `None`, said, without Python.
fn pack(lab: &Lab, program: &Path, name: &str) -> Option<PathBuf> {
    let (out, ca) = (lab.path(name), lab.write("ca.crt", "# none\n"));
    let ran = Command::new("python3")
        .arg(Path::new(ROOT).join("cross/oci.py"))
        .args(["pack", out.to_str().unwrap(), "--version", "1.2.3", "--certificates", ca.to_str().unwrap()])
        .arg("--program")
        .arg(format!("amd64={}", program.display()))
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output();
    match ran {
        Ok(o) if o.status.success() => Some(out),
        Ok(o) => panic!("{}", String::from_utf8_lossy(&o.stderr)),
        Err(e) => {
            skip(&format!("no python3: {e}"));
            None
        }
    }
}

fn check(image: &Path, more: &[&str]) -> (bool, String) {
    let words = ["cross/oci.py", "check", image.to_str().unwrap()];
    let o = Command::new("python3").current_dir(ROOT).args(words).args(more).output().unwrap();
    (o.status.success(), String::from_utf8_lossy(&o.stdout).into_owned() + &String::from_utf8_lossy(&o.stderr))
}

/// A folder over another, links as links.
fn copy(from: &Path, to: &Path) {
    let source = format!("{}/.", from.display());
    assert!(Command::new("cp").args(["-a", &source]).arg(to).status().unwrap().success(), "{source}");
}

/// Everything below a folder with its size and time.
fn listing(dir: &Path) -> String {
    let o = Command::new("find").arg(dir).args(["-xdev", "-printf", "%p %s %T@ %m %u\n"]).output().unwrap();
    String::from_utf8_lossy(&o.stdout).into_owned()
}

fn service(port: u16) -> String {
    format!(
        "[SERVICE]\n    Flush 0.1\n    Grace 5\n    HTTP_Server On\n    HTTP_Listen 127.0.0.1\n    HTTP_Port {port}\n    Health_Check On\n"
    )
}

const LOGS: &str = "[INPUT]\n    Name tail\n    Path /var/log/containers/*.log\n    Parser cri\n    Tag kube.*\n    DB /state/tail.db\n    Read_from_Head On\n[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n";

#[test]
fn a_pipeline_of_the_user_s_as_process_1_without_privileges() {
    let Some(mut c) = Container::new("image-user") else { return };
    let port = free_port();
    c.config(&(service(port) + LOGS));
    c.lab.write("logs/containers/a.log", "2024-05-01T10:00:00.1Z stdout F first\n");
    c.mount("logs", "/var/log", "ro");
    c.mount("state", "/state", "rw");
    let before = listing(&c.root);
    let mut running = c.start();
    running.run.wait_stdout("first");
    assert_eq!(send(port, "GET", "/api/v1/health", "", b"").status, 200);
    assert_eq!(running.status("NSpid").split(' ').next_back(), Some("1"));
    for (field, value) in [("Uid", "65532 65532 65532 65532"), ("Groups", "65532"), ("NoNewPrivs", "1")] {
        assert_eq!(running.status(field), value, "{field}");
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(running.status(set), "0000000000000000", "{set}");
    }
    // What is written last is delivered within the grace period.
    c.lab.append("logs/containers/a.log", "2024-05-01T10:00:01.1Z stdout F last\n");
    running.run.wait_stdout("last");
    let done = running.stop().code(0).says(&["version=", "pid=1", "caught signal (SIGTERM)"]);
    assert_eq!(done.stdout.lines().count(), 2, "{}", done.report());
    assert!(c.lab.path("state/tail.db").exists());
    assert_eq!(listing(&c.root), before);

    // A second container goes on where the first one ended.
    c.lab.append("logs/containers/a.log", "2024-05-01T10:00:02.1Z stdout F more\n");
    let mut again = c.start();
    again.run.wait_stdout("more");
    assert_eq!(again.stop().code(0).stdout.lines().count(), 1);
}

#[test]
fn what_the_image_brings_runs_with_nothing_mounted() {
    let Some(mut c) = Container::new("image-plain") else { return };
    let path = c.root.join("fluent-bit/etc/fluent-bit.conf");
    let stock = fs::read_to_string(&path).unwrap();
    c.command(&["-c", "/fluent-bit/etc/fluent-bit.conf", "--dry-run"]).start().wait().code(0);
    // The ports may be taken on this machine.
    let (http, forward) = (free_port(), free_port());
    assert!(stock.contains("2020") && stock.contains("24224"));
    c.config(&stock.replace("2020", &http.to_string()).replace("24224", &forward.to_string()));
    let mut running = c.start();
    running.run.wait_for("the server", |p| p.stderr().contains(&format!("{http}")));
    assert_eq!(send(http, "GET", "/api/v1/health", "", b"").status, 200);
    running.stop().code(0);
}

#[test]
fn a_side_car_reads_standard_input() {
    let Some(c) = Container::new("image-stdin") else { return };
    let args = ["-q", "-i", "stdin", "-o", "stdout", "-p", "format=json_lines", "-m", "*"];
    let lines: String = (0..1000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let done = c.command(&args).stdin(lines).start().wait().code(0);
    assert_eq!(done.stdout.lines().count(), 1000, "{}", done.report());
    assert!(done.stdout.lines().last().unwrap().contains("\"n\":999"), "{}", done.report());
    // The words of an image that has no entry point do too.
    let words = [&["/fluent-bit/bin/fluent-bit"][..], &args].concat();
    assert_eq!(c.command(&words).stdin("{\"n\":1}\n").start().wait().code(0).stdout.lines().count(), 1);
}

#[test]
fn it_needs_little_memory_and_no_time_while_idle() {
    let Some(mut c) = Container::new("image-memory") else { return };
    let port = free_port();
    c.config(&(service(port) + &LOGS.replace("Name stdout", "Name file\n    Path /state\n    File out")));
    c.mount("logs", "/var/log", "ro");
    c.mount("state", "/state", "rw");
    let line = "2024-05-01T10:00:00.123456789Z stdout F GET /index.html 200 and some more words of a log line\n";
    // The program of the tests is much larger, and slower.
    let built = std::env::var_os("COLLECTOR_ROOTFS").is_some();
    let lines = if built { 1_000_000 } else { 50_000 };
    c.lab.write("logs/containers/a.log", line.repeat(lines));
    c.group = if built { Group::memory(MEMORY_MIB * MIB) } else { None };
    let mut running = c.start();
    running.run.wait_stderr("[http_server] listening");
    let out = c.lab.path("state/out");
    let size = || fs::metadata(&out).map_or(0, |m| m.len());
    running.run.wait_for("all lines", |_| {
        send(port, "GET", "/api/v1/metrics", "", b"").body.contains(&format!("\"proc_records\":{lines},"))
    });
    assert!(size() > 0);
    let peak: u64 = running.status("VmHWM").split(' ').next().unwrap().parse().unwrap();
    if built {
        assert!(peak * 1024 < MEMORY_MIB * MIB, "{peak} KiB");
        eprintln!("peak RSS {peak} KiB");
    }
    let before = running.ticks();
    std::thread::sleep(Duration::from_secs(4));
    let spent = running.ticks() - before;
    // 25 thousandths of a processor; ticks are hundredths of a second.
    assert!(spent <= 10, "{spent} ticks in 4 s");
    running.stop().code(0);
}

#[test]
fn orphans_do_not_stay_as_zombies() {
    let may = Command::new("unshare").args(["-p", "-f", "--mount-proc", "true"]).output();
    if !may.is_ok_and(|o| o.status.success()) {
        return skip("no process namespaces here (unshare -p)");
    }
    if !is_native() {
        return;
    }
    let lab = Lab::new("image-orphans");
    // The shell goes at once and leaves a child behind; the status of the shell itself must not get lost.
    lab.write(
        "collector.conf",
        "[SERVICE]\n    Flush 0.1\n[INPUT]\n    Name exec\n    Command (sleep 0.01 >/dev/null &); echo ran\n    Interval_Sec 0\n    Interval_NSec 50000000\n[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n",
    );
    let words = ["unshare", "-p", "-f", "--mount-proc", "--kill-child"];
    let mut running = Running { run: lab.command(&["-c", "collector.conf"]).through(&words).start() };
    running.run.wait_for("twenty runs", |p| p.stdout().matches("ran").count() >= 20);
    let init = running.init().unwrap().as_raw_nonzero();
    let zombies = || {
        let children = fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap();
        let stats = children.split_whitespace().map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")));
        stats.flatten().filter(|s| s.contains(") Z ")).count()
    };
    // One or two may have ended just now.
    assert!(until(|| zombies() < 3), "{} zombies\n{}", zombies(), running.run.show(None));
    running.stop().code(0).silent_about(&["cannot run"]);
}

#[test]
fn the_same_files_make_the_same_image() {
    let lab = Lab::new("image-same");
    // A program that is small; the image does not run here.
    let program = lab.write("program", b"\x7fELF");
    let Some(first) = pack(&lab, &program, "one.tar") else { return };
    std::thread::sleep(Duration::from_millis(1100));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    lab.write("program", b"\x7fELF");
    let second = pack(&lab, &program, "two.tar").unwrap();
    assert_eq!(fs::read(&first).unwrap(), fs::read(second).unwrap());
    let (good, said) = check(&first, &["--max-mib", "8"]);
    assert!(good && said.contains("linux/amd64: 0."), "{said}");
    assert!(!check(&first, &["--max-mib", "0.001"]).0);
}

#[test]
fn a_broken_image_is_recognised() {
    let lab = Lab::new("image-broken");
    let Some(image) = pack(&lab, &lab.write("program", b"\x7fELF"), "one.tar") else { return };
    let bytes = fs::read(&image).unwrap();
    let mut missed = Vec::new();
    // One byte in every file of the archive: its head lies before it, zeros after it.
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 512).filter(|h| h[0] != 0) {
        let size = u64::from_str_radix(std::str::from_utf8(&head[124..135]).unwrap(), 8).unwrap() as usize;
        if size > 0 {
            let mut broken = bytes.clone();
            broken[at + 512 + size / 2] ^= 1;
            if check(&lab.write("broken.tar", broken), &[]).0 {
                missed.push(String::from_utf8_lossy(head[..100].split(|b| *b == 0).next().unwrap()).into_owned());
            }
        }
        at += 512 + size.next_multiple_of(512);
    }
    assert!(missed.is_empty(), "{missed:?}");
}

/// What `make image` made: the archive beside the tree, and its size.
#[test]
#[ignore = "make image runs it"]
fn the_built_image_is_small() {
    let rootfs = PathBuf::from(std::env::var("COLLECTOR_ROOTFS").expect("COLLECTOR_ROOTFS"));
    let image = PathBuf::from(std::env::var("COLLECTOR_IMAGE").expect("COLLECTOR_IMAGE"));
    assert!(rootfs.join("amd64").is_dir());
    let (good, said) = check(&image, &["--max-mib", &IMAGE_MIB.to_string()]);
    assert!(good, "{said}");
    eprintln!("{said}");
}
