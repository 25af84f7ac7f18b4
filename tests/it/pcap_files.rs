//! The pcap input on files: formats, damage, order, standard input, pace, filter, tags.

use crate::lab::{Done, Lab, under_runner};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::time::{Duration, Instant};

/// The time of the first packet, in seconds.
const START: u32 = 1_700_000_000;

/// How a file writes its numbers and its packets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Pcap,
    Nanos,
    Pcapng,
}
use Format::{Nanos, Pcap, Pcapng};

/// A packet: milliseconds after the start, and its bytes.
type Packet = (u32, Vec<u8>);

/// An ICMP echo request, or its reply, in Ethernet.
fn ping(number: u8, reply: bool) -> Vec<u8> {
    let (from, to) = if reply { ([10, 0, 0, 2], [10, 0, 0, 1]) } else { ([10, 0, 0, 1], [10, 0, 0, 2]) };
    let mut frame = vec![2, 0, 0, 0, 0, to[3], 2, 0, 0, 0, 0, from[3], 8, 0];
    frame.extend([0x45, 0, 0, 32, 0, number, 0, 0, 64, 1, 0, 0]);
    frame.extend(from);
    frame.extend(to);
    frame.extend([if reply { 0 } else { 8 }, 0, 0, 0, 7, number, 0, 1, b'd', b'a', b't', b'a']);
    frame
}

/// A question and its answer, five milliseconds later.
fn pair(number: u8, at: u32) -> [Packet; 2] {
    [(at, ping(number, false)), (at + 5, ping(number, true))]
}

fn capture(format: Format, big: bool, packets: &[Packet]) -> Vec<u8> {
    let u16 = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let u32 = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let block = |kind: u32, body: &[&[u8]]| {
        let mut body = body.concat();
        body.resize(body.len().next_multiple_of(4), 0);
        let len = u32(body.len() as u32 + 12);
        [&u32(kind)[..], &len, &body, &len].concat()
    };
    let mut file = if format == Pcapng {
        let section = block(0x0a0d_0d0a, &[&u32(0x1a2b_3c4d), &u16(1), &u16(0), &[0xff; 8]]);
        // Milliseconds.
        let interface = block(1, &[&u16(1), &u16(0), &u32(0), &u16(9), &u16(1), &[3, 0, 0, 0]]);
        [section, interface].concat()
    } else {
        let magic = if format == Nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        [&u32(magic)[..], &u16(2), &u16(4), &[0; 8], &u32(65535), &u32(1)].concat()
    };
    for (at, data) in packets {
        let len = u32(data.len() as u32);
        if format == Pcapng {
            let ticks = u64::from(START) * 1000 + u64::from(*at);
            let (high, low) = (u32((ticks >> 32) as u32), u32(ticks as u32));
            file.extend(block(6, &[&u32(0), &high, &low, &len, &len, data]));
        } else {
            let unit = if format == Nanos { 1_000_000 } else { 1000 };
            file.extend([u32(START + at / 1000), u32(at % 1000 * unit), len, len].concat());
            file.extend(data);
        }
    }
    file
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A configuration that prints transactions, with these keys of the input.
fn conf(keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.1\n    Log_Level info\n[INPUT]\n    Name pcap\n    Flows off\n    {}\n\
         [OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n",
        keys.replace('\n', "\n    ")
    )
}

/// Status and start of each transaction.
fn told(done: &Done) -> Vec<(String, String)> {
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    let lines = done.stdout.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    lines.map(|doc| (text(&doc["status"]), text(&doc["event"]["start"]))).collect()
}

#[track_caller]
fn statuses(done: &Done, expected: &[&str]) {
    let told: Vec<String> = told(done).into_iter().map(|(status, _)| status).collect();
    assert_eq!(told, expected, "{}", done.report());
}

#[test]
fn every_format_tells_the_same() {
    let lab = Lab::new("pcap-formats");
    let packets = pair(1, 250);
    let mut first = None;
    for format in [Pcap, Nanos, Pcapng] {
        for big in [false, true] {
            let plain = capture(format, big, &packets);
            for (file, name) in [(gzip(&plain), "a.gz"), (plain, "a.cap")] {
                lab.write(name, file);
                let done =
                    lab.run(&conf(&format!("File {name}"))).code(0).says(&["was read: 2 packets", ", 2 packets"]);
                assert_eq!(told(&done), [("OK".to_owned(), "2023-11-14T22:13:20.250000000Z".to_owned())], "{format:?}");
                assert_eq!(first.get_or_insert_with(|| done.stdout.clone()), &done.stdout, "{format:?} {big} {name}");
            }
        }
    }
}

#[test]
fn files_of_a_pattern_are_one_capture_in_the_order_of_their_names() {
    let lab = Lab::new("pcap-glob");
    let [question, answer] = pair(1, 0);
    lab.write("in/b.pcap", capture(Pcap, false, &[answer]));
    lab.write("in/a.pcapng", capture(Pcapng, true, &[question]));
    lab.write("in/not-this", "text");
    lab.write("z.pcap", capture(Pcap, true, &pair(2, 100)));
    let done = lab.run(&conf("File in/*.pcap*\nFile z.pcap")).code(0);
    statuses(&done, &["OK", "OK"]);
    let done = lab.run(&conf("File z.pcap\nFile none/*.pcap")).code(0);
    statuses(&done.says(&["File 'none/*.pcap': no file has such a name"]), &["OK"]);
}

#[test]
fn a_damaged_file_is_read_as_far_as_it_is_whole_and_the_next_one_follows() {
    let lab = Lab::new("pcap-damaged");
    let mut file = capture(Pcap, false, &[pair(1, 0), pair(2, 50)].concat());
    // The captured length of the third packet.
    let third = 24 + 2 * (16 + 46);
    file[third + 11] = 0x7f;
    lab.write("a.pcap", &file);
    lab.write("b.pcap", capture(Pcap, false, &pair(3, 100)));
    lab.write("c.pcap", &capture(Pcap, false, &pair(4, 150))[..100]);
    lab.write("d.pcap", "snoop\0\0\0\0\0\0\x02\0\0\0\x04");
    lab.write("e.pcap", "");
    let done = lab.run(&conf("File ?.pcap")).code(1).says(&[
        "'a.pcap': at byte 148: a packet of 2130706478 captured bytes, more than the 262144 there can be; the 2 packets before that are kept",
        "'b.pcap' was read: 2 packets",
        "'c.pcap': at byte 86: the file ends in the middle of a packet's header: 16 bytes expected, 14 there; the 1 packets before that are kept",
        "'d.pcap': this is a snoop capture, which is not served",
        "'e.pcap': the file is empty",
        "4 damaged files",
    ]);
    statuses(&done, &["OK", "OK", "Error"]);
}

#[test]
fn what_cannot_be_read_is_said_at_the_start() {
    let lab = Lab::new("pcap-missing");
    lab.write("a.pcap", capture(Pcap, false, &[]));
    let check = |keys: &str, parts: &[&str]| {
        let done = lab.run(&conf(keys)).code(1);
        assert_eq!(done.stdout, "");
        done.says(parts);
    };
    check("File a.pcap\nFile b.pcap", &["collector.conf:8:10: [input:pcap:pcap.0] File 'b.pcap': No such file"]);
    check("File .", &["collector.conf:7:10: [input:pcap:pcap.0] File '.': this is a directory"]);
    check("File -\nFile -", &["collector.conf:8:10: ", "the standard input is named twice"]);
    check("Snaplen 100", &["neither Interface nor File says where packets come from"]);
    check("File a.pcap\nInterface lo", &["both Interface and File are given"]);
    check("File a.pcap\nProtocols dns, htp", &["collector.conf:8:15: ", "Protocols: 'htp' is not known"]);
    check("File a.pcap\nMax_Memory 1M", &["collector.conf:8:16: ", "Max_Memory is below 8M"]);
    check("File a.pcap\nFlow_Period 0", &["collector.conf:8:17: ", "0 is no period"]);
    check("File a.pcap\nInternal_Networks home", &["collector.conf:8:23: ", "'home' is no network"]);
    if cfg!(feature = "pcap") {
        check("File a.pcap\nBPF_Filter tcp prt 80", &["collector.conf:8:16: ", "BPF_Filter: ", "syntax error"]);
    }
    lab.run(&conf("File a.pcap")).code(0).says(&["no packets were read"]);
}

#[test]
fn packets_come_from_the_standard_input_and_from_pipes() {
    let lab = Lab::new("pcap-stdin");
    lab.write("collector.conf", conf("File -"));
    let file = capture(Pcapng, false, &pair(1, 0));
    let done = lab.command(&["-c", "collector.conf"]).stdin(gzip(&file)).start().wait().code(0);
    statuses(&done.says(&["the standard input was read: 2 packets"]), &["OK"]);
    let done = lab.command(&["-c", "collector.conf"]).stdin("").start().wait().code(1);
    done.says(&["the standard input: the file is empty"]);

    let pipe = lab.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let mut running = lab.start(&conf("File pipe"));
    running.stays(Duration::from_millis(300));
    std::fs::write(&pipe, &file).unwrap();
    statuses(&running.wait().code(0), &["OK"]);
}

#[test]
fn a_capture_may_keep_its_pace() {
    let lab = Lab::new("pcap-pace");
    lab.write("a.pcap", capture(Pcap, false, &[pair(1, 0), pair(2, 700), pair(3, 90_000_000)].concat()));
    let start = Instant::now();
    let mut running = lab.start(&conf("File a.pcap\nRealtime on"));
    running.wait_stdout("22:13:20.000");
    assert!(!running.stdout().contains("22:13:20.700"), "too early");
    let done = running.wait().code(0);
    assert!(start.elapsed() >= Duration::from_millis(705), "{:?}", start.elapsed());
    statuses(&done, &["OK", "OK", "OK"]);
    // Told to stop, it does not wait for the next packet; what was read is told.
    lab.write("a.pcap", capture(Pcap, false, &[pair(1, 0)[0].clone(), pair(2, 60_000)[0].clone()]));
    let mut running = lab.start(&conf("File a.pcap\nRealtime on"));
    // Long enough for the first packet, also of a program that starts slowly.
    running.stays(Duration::from_millis(if under_runner() { 3000 } else { 300 }));
    statuses(&running.term().code(0), &["Error"]);
}

#[test]
fn a_capture_may_be_read_again_and_again() {
    let lab = Lab::new("pcap-loop");
    lab.write("a.pcap", capture(Pcap, false, &[pair(1, 0), pair(2, 2000)].concat()));
    let done = lab.run(&conf("File a.pcap\nLoop 3")).code(0).says(&[", 12 packets"]);
    let starts: Vec<String> = told(&done).into_iter().map(|(_, start)| start[17..23].to_owned()).collect();
    // 2.005 seconds, and one between.
    assert_eq!(starts, ["20.000", "22.000", "23.005", "25.005", "26.010", "28.010"], "{}", done.report());
    let mut running = lab.start(&conf("File a.pcap\nLoop 0"));
    running.wait_for("many rounds", |p| p.stdout().lines().count() > 1000);
    running.term().code(0);
    // Nothing to read again is no reason to spin.
    lab.write("a.pcap", capture(Pcap, false, &[]));
    lab.run(&conf("File a.pcap\nLoop 0")).code(0).says(&["no packets were read"]);
}

#[test]
fn tags_name_the_protocol() {
    let lab = Lab::new("pcap-tags");
    lab.write("a.pcap", capture(Pcap, false, &pair(1, 0)));
    let done = lab.run(
        "[SERVICE]\n    Flush 0.1\n[INPUT]\n    Name pcap\n    Tag packet.<protocol>\n    File a.pcap\n\
         [OUTPUT]\n    Name file\n    Match packet.icmp\n    Path .\n    File icmp\n    Format plain\n\
         [OUTPUT]\n    Name file\n    Match packet.flow\n    Path .\n    File flow\n    Format plain\n",
    );
    done.code(0);
    for name in ["icmp", "flow"] {
        let text = lab.read(name);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(&format!("\"type\":\"{name}\"")), "{text}");
    }
}

#[test]
fn the_program_goes_on_when_it_is_told_to() {
    let lab = Lab::new("pcap-stays");
    lab.write("a.pcap", capture(Pcap, false, &pair(1, 0)));
    let mut running = lab.start(&conf("File a.pcap\nExit_On_Eof off"));
    running.wait_stdout("\"OK\"");
    running.stays(Duration::from_millis(300));
    running.term().code(0);
}

#[cfg(feature = "pcap")]
#[test]
fn a_filter_leaves_packets_out() {
    let lab = Lab::new("pcap-filter");
    lab.write("a.pcap", capture(Pcap, false, &[pair(1, 0), pair(2, 20)].concat()));
    let done = lab.run(&conf("File a.pcap\nBPF_Filter icmp[icmptype] == icmp-echo")).code(0);
    statuses(&done.says(&[", 4 packets", "2 left out by the filter"]), &["Error", "Error"]);
    // A link type for which libpcap knows no filters.
    let mut file = capture(Pcap, false, &pair(1, 0));
    file[20] = 147;
    lab.write("a.pcap", file);
    let done = lab.run(&conf("File a.pcap\nBPF_Filter tcp port 80")).code(0);
    done.says(&["no packet of link type 147 passes", "2 left out by the filter"]);
}

#[cfg(all(feature = "pcap", target_os = "linux", target_env = "gnu"))]
#[test]
fn where_libpcap_cannot_be_loaded_files_are_read_and_what_needs_it_says_so() {
    if crate::lab::Elf::read(&crate::lab::program()).is_static {
        return crate::lab::skip("a static program holds libpcap");
    }
    let mut lab = Lab::new("pcap-unloaded");
    lab.write("a.pcap", capture(Pcap, false, &pair(1, 0)));
    // Found first, and no libraries.
    lab.write("lib/libpcap.so.1", "");
    let lib = lab.write("lib/libpcap.so.0.8", "");
    lab.env("LD_LIBRARY_PATH", lib.parent().unwrap().to_str().unwrap());
    statuses(&lab.run(&conf("File a.pcap")).code(0), &["OK"]);
    let why = ["cannot load libpcap: ", "Install it"];
    lab.run(&conf("File a.pcap\nBPF_Filter icmp")).code(1).says(&["BPF_Filter: ", why[0], why[1]]);
    lab.run(&conf("Interface lo")).code(1).says(&why);
    lab.exec(&["--list-interfaces"]).code(1).says(&why);
}
