//! Inputs of boards: against what this machine says of itself, against texts of a folder, and a serial port that is a pty.

use crate::lab::{Lab, Peer, is_native, is_offered, refused_port, until};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, SpecialCodeIndex, tcgetattr};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

/// A pipeline of one input with these keys that prints JSON lines.
fn conf(input: &str) -> String {
    let keys = input.replace("; ", "\n    ");
    format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name {keys}\n[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    \
         Json_Date_Key false\n"
    )
}

fn records(stdout: &str) -> Vec<Value> {
    let lines = stdout.split_inclusive('\n').filter(|l| l.ends_with('\n'));
    lines.map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

/// What `n` intervals of a tenth of a second tell.
fn looks(lab: &Lab, input: &str, n: usize) -> Vec<Value> {
    let mut run = lab.start(&conf(&format!("{input}; Interval_Sec 0; Interval_NSec 100000000")));
    run.wait_for("records", |p| p.stdout().lines().count() >= n);
    let done = run.term().code(0);
    records(&done.stdout)
}

fn keys(record: &Value) -> Vec<String> {
    record.as_object().unwrap().keys().cloned().collect()
}

/// The first number of a line of /proc that begins with this word.
fn number(path: &str, word: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap();
    let line =
        text.lines().find_map(|l| l.trim_start().strip_prefix(word)).unwrap_or_else(|| panic!("{path}: no {word}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn cpu() {
    let lab = Lab::new("cpu");
    let all = looks(&lab, "cpu", 3);
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let mut want = vec!["cpu_p".to_owned(), "user_p".into(), "system_p".into()];
    for line in stat.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu ")) {
        let core = line.split(' ').next().unwrap();
        want.extend(["cpu", "user", "system"].map(|what| format!("{core}.p_{what}")));
    }
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    for record in &all {
        assert_eq!(sorted(keys(record)), sorted(want.clone()));
        for (key, value) in record.as_object().unwrap() {
            // A look that comes late sees more ticks than its interval has; a second of it is far beyond that.
            assert!(value.is_f64() && (0.0..1000.0).contains(&value.as_f64().unwrap()), "{key} {value}");
        }
        let of = |key: &str| record[key].as_f64().unwrap();
        assert!((of("cpu_p") - of("user_p") - of("system_p")).abs() < 0.001, "{record}");
    }
}

/// One that does nothing but count works about as much as it is let.
#[test]
fn cpu_of_a_process() {
    if !is_native() {
        return;
    }
    let lab = Lab::new("cpu-pid");
    let mut busy = std::process::Command::new("/bin/sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
    let mut run = lab.start(&conf(&format!("cpu; PID {}; Interval_Sec 0; Interval_NSec 300000000", busy.id())));
    let worked = until(|| records(&run.stdout()).iter().any(|r| r["cpu_p"].as_f64().unwrap() > 2.0));
    busy.kill().unwrap();
    busy.wait().unwrap();
    assert!(worked, "{}", run.show(None));
    run.wait_stderr(&format!("cannot read /proc/{}/stat", busy.id()));
    let lines = run.stdout().lines().count();
    run.stays(Duration::from_millis(700));
    let done = run.term().code(0);
    assert!(done.stdout.lines().count() <= lines + 1, "records of a process that is gone\n{}", done.report());
    let last = records(&done.stdout).pop().unwrap();
    assert_eq!(last.as_object().unwrap().len(), 3);
}

#[test]
fn mem() {
    let lab = Lab::new("mem");
    let pid = std::process::id();
    let all = looks(&lab, &format!("mem; PID {pid}"), 1);
    let record = &all[0];
    assert_eq!(record["Mem.total"].as_f64().unwrap(), number("/proc/meminfo", "MemTotal:"));
    assert_eq!(record["Swap.total"].as_f64().unwrap(), number("/proc/meminfo", "SwapTotal:"));
    let (free, total) = (number("/proc/meminfo", "MemAvailable:"), record["Mem.total"].as_f64().unwrap());
    assert!((record["Mem.free"].as_f64().unwrap() - free).abs() < total / 2.0, "{record}, now {free}");
    let of = |key: &str| record[key].as_u64().unwrap();
    assert!(of("Mem.used") <= of("Mem.total") && of("Swap.used") + of("Swap.free") == of("Swap.total"), "{record}");
    let resident = number(&format!("/proc/{pid}/status"), "VmRSS:") * 1024.0;
    assert!((of("proc_bytes") as f64) > resident / 8.0 && (of("proc_bytes") as f64) < resident * 8.0, "{record}");
    assert!(record["proc_hr"].as_str().unwrap().ends_with(['K', 'M', 'G']), "{record}");
}

#[test]
fn uptime() {
    let lab = Lab::new("uptime");
    let before = number("/proc/uptime", "");
    let record = &looks(&lab, "uptime", 1)[0];
    let after = number("/proc/uptime", "");
    assert!((before..=after).contains(&record["uptime"].as_f64().unwrap()), "{before} {record} {after}");
    assert!(record["load1"].is_f64() && record["tasks"].as_u64().unwrap() > 0, "{record}");
}

/// Bytes that go through the loopback while it is watched are told of, all of them and none twice.
#[test]
fn netif() {
    let lab = Lab::new("netif");
    let mut run =
        lab.start(&conf("netif; Interface lo; Test_At_Init on; Verbose on; Interval_Sec 0; Interval_NSec 100000000"));
    run.wait_for("the first record", |p| p.stdout().contains('\n'));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut peer, &mut std::io::sink()).unwrap());
    sender.write_all(&vec![0; 3 << 20]).unwrap();
    drop(sender);
    assert_eq!(reader.join().unwrap(), 3 << 20);
    let sum = |text: &str| records(text).iter().map(|r| r["lo.rx.bytes"].as_u64().unwrap()).sum::<u64>();
    run.wait_for("3 MiB", |p| sum(&p.stdout()) >= 3 << 20);
    let done = run.term().code(0);
    let record = records(&done.stdout).pop().unwrap();
    assert_eq!(record.as_object().unwrap().len(), 16, "{record}");

    lab.run(&conf("netif; Interface nosuch0; Test_At_Init on")).code(1).says(&["there is no interface 'nosuch0'"]);
}

/// Texts of a folder in place of /proc, which change while the program reads them.
#[test]
fn other_machines() {
    let lab = Lab::new("procfs");
    let disk = |n: u64| {
        format!(" 179 0 mmcblk0 1 2 {} 4 5 6 {} 8 9 10 11\n 179 1 mmcblk0p1 1 2 {n} 4 5 6 {n} 8 9 10 11\n", n, 2 * n)
    };
    lab.write("proc/diskstats", disk(100));
    let root = lab.path("proc").display().to_string();
    let mut run = lab.start(&conf(&format!("disk; path.procfs {root}; Interval_Sec 0; Interval_NSec 50000000")));
    run.wait_stdout("{\"read_size\":0,\"write_size\":0}\n");
    // As the kernel's, the text changes at once.
    lab.write("next", disk(110));
    fs::rename(lab.path("next"), lab.path("proc/diskstats")).unwrap();
    run.wait_stdout("{\"read_size\":5120,\"write_size\":10240}\n");
    fs::remove_file(lab.path("proc/diskstats")).unwrap();
    run.wait_stderr("cannot read ");
    run.stays(Duration::from_millis(300));
    lab.write("next", disk(111));
    fs::rename(lab.path("next"), lab.path("proc/diskstats")).unwrap();
    run.wait_stdout("{\"read_size\":512,\"write_size\":1024}\n");
    let done = run.term().code(0);
    assert_eq!(done.stderr.matches("cannot read ").count(), 1, "said once\n{}", done.report());

    lab.write("proc/meminfo", "MemTotal: 443504 kB\nMemFree: 31200 kB\nMemAvailable: 301000 kB\n");
    let want = "{\"Mem.total\":443504,\"Mem.used\":412304,\"Mem.free\":301000,\"Swap.total\":0,\"Swap.used\":0,\"Swap.free\":0}\n";
    let mut run = lab.start(&conf(&format!("mem; path.procfs {root}; Interval_Sec 0; Interval_NSec 50000000")));
    run.wait_stdout(want);
    run.term().code(0);

    for (zone, kind, temp) in [(0, "cpu-thermal", "48312"), (1, "gpu-thermal", "51000")] {
        lab.write(&format!("sys/class/thermal/thermal_zone{zone}/type"), format!("{kind}\n"));
        lab.write(&format!("sys/class/thermal/thermal_zone{zone}/temp"), format!("{temp}\n"));
    }
    let root = lab.path("sys").display().to_string();
    let thermal = format!("thermal; path.sysfs {root}; Type_Regex ^cpu; Interval_Sec 0; Interval_NSec 50000000");
    let mut run = lab.start(&conf(&thermal));
    run.wait_stdout("{\"name\":\"thermal_zone0\",\"type\":\"cpu-thermal\",\"temp\":48.312}\n");
    assert!(!run.term().code(0).stdout.contains("gpu"));
}

/// A program that begins, ends and begins again.
#[test]
fn processes() {
    if !is_native() {
        return;
    }
    let lab = Lab::new("proc");
    let name = format!("meter{}", std::process::id());
    // A name of its own, so that other tests' processes are not meant.
    fs::copy("/bin/sleep", lab.path(&name)).unwrap();
    let begin = || std::process::Command::new(lab.path(&name)).arg("1000").spawn().unwrap();
    let mut run = lab.start(&conf(&format!("proc; Proc_Name {name}; Interval_Sec 0; Interval_NSec 50000000")));
    run.wait_stdout("{\"alive\":false,");
    for _ in 0..2 {
        let mut child = begin();
        let alive = format!("{{\"alive\":true,\"proc_name\":\"{name}\",\"pid\":{},\"mem.VmPeak\":", child.id());
        let told = until(|| run.stdout().contains(&alive));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(told, "{}", run.show(None));
        let lines = run.stdout().lines().count();
        run.wait_for("its end", |p| p.stdout().lines().skip(lines).any(|l| l.contains("\"alive\":false")));
    }
    let done = run.term().code(0);
    let alive = records(&done.stdout).into_iter().find(|r| r["alive"] == true && r["mem.VmRSS"] != 0).unwrap();
    assert!(alive["fd"].as_u64().is_some_and(|n| n >= 1), "{alive}");
    assert_eq!(alive.as_object().unwrap().len(), 15);
    assert_eq!(alive["mem.VmPeak"].as_u64().unwrap() % 1000, 0);
    let dead = records(&done.stdout).into_iter().find(|r| r["alive"] == false).unwrap();
    assert_eq!((dead["pid"].as_i64(), dead["mem.VmRSS"].as_u64(), dead["fd"].as_u64()), (Some(-1), Some(0), Some(0)));
}

#[test]
fn health() {
    let lab = Lab::new("health");
    let (_held, port) = refused_port();
    let health = format!(
        "health; Host 127.0.0.1; Port {port}; Add_Host on; Add_Port on; Interval_Sec 0; Interval_NSec 50000000"
    );
    let mut run = lab.start(&conf(&health));
    let record = |alive: bool| format!("{{\"alive\":{alive},\"hostname\":\"127.0.0.1\",\"port\":{port}}}\n");
    run.wait_stdout(&record(false));
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    run.wait_stdout(&record(true));
    drop(listener);
    let lines = run.stdout().lines().count();
    run.wait_for("its end", |p| p.stdout().lines().skip(lines + 1).any(|l| l.contains("\"alive\":false")));
    run.term().code(0);

    let server = Peer::hangs_up();
    let alert =
        format!("health; Host localhost; Port {}; Alert on; Interval_Sec 0; Interval_NSec 50000000", server.port());
    let mut run = lab.start(&conf(&alert));
    run.wait_for("three checks", |_| server.connections() >= 3);
    run.term().code(0).prints("");
}

/// The two ends of a pty: what a device would hold, and the path of the port.
fn pty() -> (File, PathBuf) {
    let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&device).unwrap();
    unlockpt(&device).unwrap();
    let path = ptsname(&device, Vec::new()).unwrap().into_string().unwrap();
    (File::from(device), PathBuf::from(path))
}

#[test]
fn serial_lines() {
    if !is_offered("TCGETS2, by which ports are set") {
        return;
    }
    let lab = Lab::new("serial");
    let (mut device, path) = pty();
    // Not as the tests' own terminal: they would end with it.
    let port = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let before = tcgetattr(&port).unwrap();
    let mut run = lab.start(&conf(&format!("serial; File {}; Bitrate 115200; Min_Bytes 1", path.display())));
    run.wait_stderr("at 115200 bit/s");
    let set = tcgetattr(&port).unwrap();
    assert!(!set.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO), "what comes must not be sent back");
    assert_eq!((set.input_speed(), set.special_codes[SpecialCodeIndex::VMIN]), (115_200, 1));
    device.write_all(b"\0\0\r\none\r\ntwo\rthr").unwrap();
    run.wait_stdout("{\"msg\":\"one\"}\n{\"msg\":\"two\"}\n");
    device.write_all(b"ee\n\nb\xc3\xa4r\n").unwrap();
    run.wait_stdout("{\"msg\":\"b\\u00e4r\"}\n");
    // What never ends a line is a message after a second of silence.
    device.write_all(b"card 0042").unwrap();
    run.wait_stdout("{\"msg\":\"card 0042\"}\n");
    device.write_all(b"last\n").unwrap();
    run.wait_stdout("{\"msg\":\"last\"}\n");
    let done = run.term().code(0);
    let all: Vec<_> = records(&done.stdout).iter().map(|r| r["msg"].as_str().unwrap().to_owned()).collect();
    // A machine that is slow enough takes the half of "three" for a message.
    assert_eq!(all.concat(), "onetwothreebärcard 0042last");
    let after = tcgetattr(&port).unwrap();
    assert_eq!((after.local_modes, after.input_modes), (before.local_modes, before.input_modes), "as it was found");
}

#[test]
fn serial_separators_and_json() {
    if !is_offered("TCGETS2, by which ports are set") {
        return;
    }
    let lab = Lab::new("serial-json");
    let (mut device, path) = pty();
    let mut run = lab.start(&conf(&format!("serial; File {}; Bitrate 9600; Separator X", path.display())));
    run.wait_stderr("at 9600 bit/s");
    device.write_all(b"aXXXb cXd").unwrap();
    run.wait_stdout("{\"msg\":\"a\"}\n{\"msg\":\"b c\"}\n");
    device.write_all(b"dX").unwrap();
    run.wait_stdout("{\"msg\":\"dd\"}\n");
    run.term().code(0);

    let (mut device, path) = pty();
    let mut run = lab.start(&conf(&format!("serial; File {}; Bitrate 9600; Format json", path.display())));
    run.wait_stderr("at 9600 bit/s");
    device.write_all(b"{\"t\":21.5,\"a\":[1,{}]}{\"t\"").unwrap();
    run.wait_stdout("{\"msg\":{\"t\":21.5,\"a\":[1,{}]}}\n");
    device.write_all(b":22}\nboot v1\n").unwrap();
    run.wait_stdout("{\"msg\":{\"t\":22}}\n{\"msg\":\"boot v1\"}\n");
    // The adapter is pulled out.
    drop(device);
    run.wait_stderr("tried again every two seconds");
    run.term().code(0);
}

/// With `Min_Bytes` a short message waits for more, but not beyond the shutdown.
#[test]
fn serial_short_messages() {
    if !is_offered("TCGETS2, by which ports are set") {
        return;
    }
    let lab = Lab::new("serial-min");
    let (mut device, path) = pty();
    let mut run = lab.start(&conf(&format!("serial; File {}; Bitrate 9600; Min_Bytes 60", path.display())));
    run.wait_stderr("at 9600 bit/s");
    let long = "x".repeat(80);
    device.write_all(format!("{long}\n").as_bytes()).unwrap();
    run.wait_stdout(&long);
    device.write_all(b"short\nhalf").unwrap();
    run.stays(Duration::from_millis(300));
    assert!(!run.stdout().contains("short"), "{}", run.show(None));
    run.term().code(0).prints(&format!("{{\"msg\":\"{long}\"}}\n{{\"msg\":\"short\"}}\n{{\"msg\":\"half\"}}\n"));
}

#[test]
fn serial_ports_that_are_none() {
    if !is_offered("TCGETS2, by which ports are set") {
        return;
    }
    let lab = Lab::new("serial-none");
    let mut run = lab.start(&conf("serial; File /dev/null; Bitrate 9600"));
    run.wait_stderr("/dev/null: it is no serial port; it is tried again every two seconds");
    run.term().code(0);
    // One that comes later is taken.
    let (mut device, path) = pty();
    let link = lab.path("port");
    let mut run = lab.start(&conf(&format!("serial; File {}; Bitrate 9600", link.display())));
    run.wait_stderr("it is tried again every two seconds");
    std::os::unix::fs::symlink(path, &link).unwrap();
    run.wait_stderr("at 9600 bit/s");
    device.write_all(b"hello\n").unwrap();
    run.wait_stdout("{\"msg\":\"hello\"}\n");
    run.term().code(0);
}

#[test]
fn gpio_chips_that_are_none() {
    let lab = Lab::new("gpio");
    lab.run(&conf("gpio_events; Chip /dev/null; Lines 1")).code(1).says(&["/dev/null is no GPIO chip"]);
    lab.run(&conf("gpio_events; Chip nosuch; Lines 1")).code(1).says(&["there is no GPIO chip 'nosuch'"]);
}

/// With inputs that look every second the program wakes up about as often, and looks that tell nothing wake up nothing else.
#[test]
fn gauges_share_their_wake_ups() {
    if !is_native() {
        return;
    }
    let lab = Lab::new("gauges-idle");
    // A program that runs, as long as it is watched: this one.
    let this = std::env::current_exe().unwrap();
    let this = format!("proc\n    Proc_Name {}", this.file_name().unwrap().to_str().unwrap());
    let input = |name: &str| format!("[INPUT]\n    Name {name}\n");
    let start = |flush: u32, inputs: &[&str]| {
        let inputs = inputs.iter().copied().map(input).collect::<String>();
        lab.start(&format!(
            "[SERVICE]\n    Flush {flush}\n{inputs}[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n"
        ))
    };
    let wakes = |pid: u32| number(&format!("/proc/{pid}/status"), "voluntary_ctxt_switches:");
    let mut run = start(5, &["cpu", "mem", "uptime", "disk", "netif\n    Interface lo", &this]);
    run.wait_stdout("Mem.total");
    let before = wakes(run.pid());
    run.stays(Duration::from_secs(5));
    let woken = wakes(run.pid()) - before;
    // Five looks, one or two flushes; one for each input would be 30.
    assert!(woken <= 14.0, "{woken} wake-ups in 5 s\n{}", run.show(None));
    run.term().code(0);

    let mut run = start(1, &[&format!("{this}\n    Alert on")]);
    run.stays(Duration::from_secs(2));
    let before = wakes(run.pid());
    run.stays(Duration::from_secs(3));
    let woken = wakes(run.pid()) - before;
    assert!(woken <= 5.0, "{woken} wake-ups in 3 s for nothing\n{}", run.show(None));
    run.term().code(0).prints("");
}
