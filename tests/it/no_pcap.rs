//! A build without libpcap: what needs it is refused with a remedy, and files are read.

use crate::lab::Lab;

fn conf(keys: &str) -> String {
    format!("[INPUT]\n    Name pcap\n{keys}[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n")
}

/// A capture of one ping (pcap, microseconds, raw IPv4).
fn capture() -> Vec<u8> {
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0];
    for (kind, ends) in [(8, [[10, 0, 0, 1], [10, 0, 0, 2]]), (0, [[10, 0, 0, 2], [10, 0, 0, 1]])] {
        file.extend([0, 0, 0, 100, 0, 0, 0, 0, 28, 0, 0, 0, 28, 0, 0, 0]);
        file.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0]);
        file.extend(ends.concat());
        file.extend([kind, 0, 0, 0, 0, 7, 0, 1]);
    }
    file
}

#[test]
fn what_needs_libpcap_is_refused_and_files_are_read() {
    let lab = Lab::new("no-pcap");
    lab.write("ping.pcap", capture());
    let why = "feature `pcap`";
    lab.run(&conf("    Interface lo\n")).code(1).says(&["collector.conf:3:15: ", "this build cannot capture", why]);
    lab.run(&conf("    File ping.pcap\n    BPF_Filter icmp\n")).code(1).says(&["BPF_Filter", why]);
    lab.exec(&["--list-interfaces"]).code(1).says(&[why]);
    let done = lab.run(&conf("    File ping.pcap\n")).code(0);
    assert!(done.stdout.contains("\"dataset\":\"icmp\""), "{}", done.shown);
}
