//! The kmsg input: a pipe in place of the device, and the device itself where it can be read.

use crate::lab::{Lab, skip};
use std::fs::File;
use std::io::Write;

fn conf(keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name kmsg\n{keys}[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    \
         Json_Date_Key false\n"
    )
}

#[test]
fn records() {
    let lab = Lab::new("kmsg");
    let path = lab.path("kmsg");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let mut pipe = File::options().read(true).write(true).open(&path).unwrap();
    let mut run = lab.start(&conf(&format!("    Path {}\n    Prio_Level 6\n", path.display())));
    pipe.write_all(b"6,1,1500000,-;one\n SUBSYSTEM=pci\n7,2,1600000,-;debug\n").unwrap();
    run.wait_stdout(
        "{\"priority\":6,\"sequence\":1,\"sec\":1,\"usec\":500000,\"msg\":\"one\",\"SUBSYSTEM\":\"pci\"}\n",
    );
    pipe.write_all(b"no record\n12,3,1700000,-;user's\n").unwrap();
    run.wait_stdout("{\"priority\":4,\"sequence\":3,\"sec\":1,\"usec\":700000,\"msg\":\"user's\"}\n");
    let done = run.term().code(0).says(&["what was read is no record of a kernel's log"]);
    assert!(!done.report().contains("debug\""));
}

#[test]
fn the_device() {
    if let Err(e) = File::open("/dev/kmsg") {
        return skip(&format!("/dev/kmsg cannot be read: {e}"));
    }
    let lab = Lab::new("kmsg-device");
    let mut run = lab.start(&conf(""));
    run.wait_stdout("{\"priority\":");
    run.term().code(0);
}

#[test]
fn no_device() {
    let lab = Lab::new("kmsg-none");
    lab.run(&conf("    Path /dev/no-kmsg\n")).code(1).says(&["cannot open /dev/no-kmsg"]);
}
