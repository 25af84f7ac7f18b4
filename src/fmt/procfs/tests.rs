//! Texts of machines, small and large, and texts that are none.

use super::*;
use proptest::prelude::*;

const PI4: &[u8] = b"cpu  1203 40 880 99000 310 0 75 0 0 0\n\
cpu0 300 10 220 24700 80 0 60 0 0 0\ncpu1 301 10 220 24800 70 0 5 0 0 0\ncpu2 302 10 220 24700 80 0 5 0 0 0\n\
cpu3 300 10 220 24800 80 0 5 0 0 0\nintr 900 0 1 2\nctxt 1\nbtime 1700000000\ncpu9 1 1 1 1\n";

#[test]
fn processors_of_a_board() {
    let all: Vec<_> = processors(PI4).collect();
    assert_eq!(all.len(), 5, "what follows the processors is not read");
    assert_eq!(all[0], (None, Ticks { user: 1243, system: 880 }));
    assert_eq!(all[4], (Some(3), Ticks { user: 310, system: 220 }));
    // One is off; Linux 2.4 knew four columns.
    let off: Vec<_> = processors(b"cpu 9 0 9 9\ncpu0 4 0 4 4\ncpu2 5 0 5 5\n").map(|(n, _)| n).collect();
    assert_eq!(off, [None, Some(0), Some(2)]);
    assert_eq!(processors(b"cpu \ncpux 1 2 3\ncpu0 1 2\ncpu1 1 -2 3\n").count(), 0);
}

#[test]
fn time_does_not_run_backwards() {
    let (a, b) = (Ticks { user: 10, system: 10 }, Ticks { user: 9, system: 14 });
    assert_eq!(b.since(a), Ticks { user: 0, system: 4 });
}

#[test]
fn counters() {
    let on = |before, now| grown(before, now, false);
    assert_eq!((on(5, 5), on(5, 9), on(0, u64::MAX)), (0, 4, u64::MAX));
    assert_eq!(on((1 << 32) - 10, 5), 15, "past 2^32");
    assert_eq!(on(3_000_000_000, 5), 1_294_967_301, "past 2^32, with much in between");
    assert_eq!((grown(3_000_000_000, 5, true), grown(3, 5, true)), (5, 5), "began anew");
    assert_eq!((on(1_000_000, 5), on(1 << 40, 7), on(u64::MAX, 0)), (5, 7, 0), "it must have begun anew");
}

#[test]
fn a_process() {
    let text = b"812 (a) b (c) S 1 812 812 0 -1 4194560 900 0 3 0 77 33 0 0 20 0 5 0 4321 88604672 2876 18446744073709551615 1 2\n";
    let p = Process::read(text).unwrap();
    assert_eq!((p.name, p.state, p.begun), (&b"a) b (c"[..], b'S', 4321));
    assert_eq!(p.ticks, Ticks { user: 77, system: 33 });
    assert!(p.is_alive());
    let dead = text.to_vec().iter().map(|b| if *b == b'S' { b'Z' } else { *b }).collect::<Vec<_>>();
    assert!(!Process::read(&dead).unwrap().is_alive());
    let cut = &text[..text.len() - 60];
    assert_eq!((Process::read(b""), Process::read(b")("), Process::read(cut)), (None, None, None));
}

#[test]
fn memory() {
    let zero =
        b"MemTotal:         443504 kB\nMemFree:           31200 kB\nMemAvailable:     301000 kB\nBuffers:  1 kB\n\
        SwapTotal:        102396 kB\nSwapFree:         101884 kB\nHugePages_Total:       0\n";
    let want = Memory { total: 443504, free: 31200, available: 301000, swap_total: 102396, swap_free: 101884 };
    assert_eq!(Memory::read(zero), Some(want));
    let old = Memory::read(b"MemTotal: 9 kB\nMemFree: 4 kB\n").unwrap();
    assert_eq!((old.available, old.swap_total), (4, 0));
    assert_eq!(Memory::read(b"MemFree: 4 kB\n"), None);
}

#[test]
fn devices() {
    let text = b" 179       0 mmcblk0 5000 10 200000 900 300 20 40000 70 0 80 90 0 0 0 0 5 6\n \
        179       1 mmcblk0p1 1 2 3 4 5 6 7 8 9 10 11\n   8 0 sda 1 2\n";
    let all: Vec<_> = disks(text).collect();
    assert_eq!(all.len(), 2);
    assert_eq!(
        all[0],
        Disk { name: b"mmcblk0", done: DiskWork { reads: 5000, read: 200000, writes: 300, written: 40000 } }
    );
    assert_eq!(all[1], Disk { name: b"mmcblk0p1", done: DiskWork { reads: 1, read: 3, writes: 5, written: 7 } });
    for (part, whole, is) in [
        ("mmcblk0p1", "mmcblk0", true),
        ("nvme0n1p12", "nvme0n1", true),
        ("sda1", "sda", true),
        ("sdaa", "sda", false),
        ("sda", "sda", false),
        ("mmcblk01", "mmcblk0", false),
        ("mmcblk0p", "mmcblk0", false),
        ("mmcblk0boot0", "mmcblk0", false),
        ("sda", "", false),
    ] {
        assert_eq!(is_partition(part.as_bytes(), whole.as_bytes()), is, "{part} {whole}");
    }
    for name in ["loop0", "ram15", "zram0", "dm-3", "md127"] {
        assert!(is_virtual(name.as_bytes()), "{name}");
    }
    assert!(!["sda", "vda", "mmcblk0", "mdx", "nvme0n1", "ramdisk"].iter().any(|n| is_virtual(n.as_bytes())));
}

#[test]
fn network() {
    let text = b"Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n\
        \x20   lo:     100       2    0    0    0     0          0         0      100       2    0    0    0     0       0          0\n\
        eth0:4294967295 7 1 2 3 4 5 6 8 9 10 11 12 13 14 15\n wlan0.1: 1 2 3\n br:x: 1 2 3 4 5 6 7 8 1 2 3 4 5 6 7 8\n";
    let all: Vec<_> = interfaces(text).collect();
    let names: Vec<_> = all.iter().map(|(n, _)| String::from_utf8_lossy(n).into_owned()).collect();
    assert_eq!(names, ["lo", "eth0", "br:x"]);
    assert_eq!(all[1].1, [4294967295, 7, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15]);
}

#[test]
fn sizes_of_a_process() {
    let text =
        b"Name:\tVmPeak: 3\nVmPeak:\t   14860 kB\nVmSize:\t   14000 kB\nVmPin:\t 1 kB\nVmSwap:\t       7 kB\nVmPTE:\n";
    assert_eq!(sizes(text), [14860, 14000, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
}

#[test]
fn load_and_uptime() {
    let load = Load::read(b"0.20 1.05 11.50 3/189 26776\n").unwrap();
    assert_eq!(load, Load { averages: [0.2, 1.05, 11.5], running: 3, tasks: 189 });
    assert!(Load::read(b"0.20 1.05").is_none() && Load::read(b"nan 1 1 1/2 3").is_none());
    assert_eq!((uptime(b"351735.47 234388.90\n"), uptime(b""), uptime(b"inf 1")), (Some(351735.47), None, None));
}

#[test]
fn sizes_for_people() {
    let all = [0, 1023, 1024, 12349440, 5 << 30, u64::MAX];
    assert_eq!(all.map(human), ["0 b", "1023 b", "1.00K", "11.78M", "5.00G", "16.00E"]);
}

proptest! {
    #[test]
    fn no_text_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
    }

    #[test]
    fn nor_does_what_looks_like_it(text in "(cpu[0-9]{0,2}|Vm[A-Z]{1,4}:|MemTotal:|[a-z0-9]{0,6}:?|\\(a\\)|[0-9/.]{1,25}|[ \n)(]){0,60}") {
        read_all(text.as_bytes());
    }

    #[test]
    fn growth_is_what_was_added(before in any::<u32>(), more in 0u32..1 << 31) {
        let (before, more) = (u64::from(before), u64::from(more));
        prop_assert_eq!(grown(before, before + more, false), more);
        prop_assert_eq!(grown(before, (before + more) % (1 << 32), false), more);
    }
}

fn read_all(bytes: &[u8]) {
    processors(bytes).for_each(drop);
    disks(bytes).for_each(drop);
    interfaces(bytes).for_each(drop);
    let _ = (Process::read(bytes), Memory::read(bytes), Load::read(bytes), uptime(bytes), sizes(bytes));
}
