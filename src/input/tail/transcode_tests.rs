//! What files in other encodings become, turn by turn.

use super::super::super::charset::Charset;
use super::*;

fn lab(charset: Charset, max: usize, long: Long) -> Lab {
    let mut lab = Lab::new(max, long);
    lab.reader.charset = Some(charset);
    lab.reader.lines.offset_key = Some(Key::of("at"));
    lab
}

fn wide(text: &str, big: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
}

/// U+0A0D and U+0D0A hold the bytes of a line end.
const SAMPLE: &str = "é one\r\n\nਊ਍ഊ 😀\nthree";

#[test]
fn any_cut_of_utf_16_gives_the_same_lines() {
    for big in [false, true] {
        let explicit = if big { Charset::Utf16Be } else { Charset::Utf16Le };
        for (charset, mark) in [(Charset::Auto, "\u{feff}"), (explicit, "\u{feff}"), (explicit, "")] {
            let text = wide(&format!("{mark}{SAMPLE}"), big);
            let m = mark.encode_utf16().count() * 2;
            let at = [m, m + 14, m + 16];
            for cut in 0..=text.len() {
                let mut lab = lab(charset, 100, Long::Pieces);
                lab.append(&text[..cut]);
                lab.append(&text[cut..]);
                let whole = [format!("at={} é one", at[0]), format!("at={} ", at[1]), format!("at={} ਊ਍ഊ 😀", at[2])];
                assert_eq!(lab.records(), whole, "{charset:?} {mark:?} cut at {cut}");
                assert_eq!((lab.file.offset, lab.file.unfinished), (text.len() as u64 - 10, 10));
                lab.file.last_call = true;
                lab.read();
                assert_eq!(lab.records().last().unwrap(), &format!("at={} three", text.len() - 10));
                assert_eq!((lab.made.records, lab.made.replaced, lab.truncated), (4, 0, false));
            }
        }
    }
}

#[test]
fn byte_by_byte_in_small_steps() {
    let mut lab = lab(Charset::Auto, 100, Long::Pieces);
    lab.reader.event_batch = 1;
    for byte in wide(&format!("\u{feff}{SAMPLE}\n"), false) {
        lab.append([byte]);
    }
    assert_eq!(lab.records(), ["at=2 é one", "at=16 ", "at=18 ਊ਍ഊ 😀", "at=32 three"]);
}

#[test]
fn encodings_of_one_to_four_bytes() {
    let texts = [
        (Charset::ShiftJis, encoding_rs::SHIFT_JIS, "こんにちは\nソ表能\nｱｲｳ a\\b\n"),
        (Charset::EucJp, encoding_rs::EUC_JP, "日本\nｱ表\n"),
        (Charset::Uhc, encoding_rs::EUC_KR, "안녕하세요\n똠방각하\n"),
        (Charset::Gbk, encoding_rs::GBK, "你好\n镕\n"),
        (Charset::Gb18030, encoding_rs::GB18030, "你好 😀\né\n"),
        (Charset::Big5, encoding_rs::BIG5, "功能\n許蓋\n"),
        (Charset::Page(866), encoding_rs::IBM866, "Привет\n№\n"),
        (Charset::Page(874), encoding_rs::WINDOWS_874, "สวัสดี\n"),
        (Charset::Page(1250), encoding_rs::WINDOWS_1250, "Cześć\n"),
        (Charset::Page(1251), encoding_rs::WINDOWS_1251, "Привет\n"),
        (Charset::Page(1252), encoding_rs::WINDOWS_1252, "façade €\n"),
        (Charset::Page(1253), encoding_rs::WINDOWS_1253, "Γειά\n"),
        (Charset::Page(1254), encoding_rs::WINDOWS_1254, "ığş\n"),
        (Charset::Page(1255), encoding_rs::WINDOWS_1255, "שלום\n"),
        (Charset::Page(1256), encoding_rs::WINDOWS_1256, "مرحبا\n"),
        (Charset::Page(1257), encoding_rs::WINDOWS_1257, "Ačiū\n"),
        (Charset::Page(1258), encoding_rs::WINDOWS_1258, "đồng ơ\n"),
        (Charset::Utf8, encoding_rs::UTF_8, "plain é\n"),
    ];
    for (charset, encoding, text) in texts {
        let (bytes, _, unmappable) = encoding.encode(text);
        // Vietnamese composed letters have no place of their own in 1258.
        let text = if unmappable { "" } else { text };
        let want: Vec<&str> = text.lines().collect();
        for cut in 0..=bytes.len() {
            let mut lab = lab(charset, 100, Long::Pieces);
            lab.reader.lines.offset_key = None;
            lab.append(&bytes[..cut]);
            lab.append(&bytes[cut..]);
            if !want.is_empty() {
                assert_eq!(lab.records(), want, "{charset:?} cut at {cut}");
            }
            assert_eq!(lab.made.replaced, 0);
        }
    }
}

#[test]
fn what_is_no_text_is_replaced_and_counted() {
    let mut lab = lab(Charset::Auto, 100, Long::Pieces);
    lab.append(b"good\nb\xffad\n\xe3\x81\nend\n");
    assert_eq!(lab.records(), ["at=0 good", "at=5 b\u{fffd}ad", "at=10 \u{fffd}", "at=13 end"]);
    assert_eq!(lab.made.replaced, 2);
    // Half a surrogate pair, then half a unit at the end.
    let mut lab = self::lab(Charset::Utf16Le, 100, Long::Pieces);
    lab.append(b"\x3d\xd8a\0\n\0b\0c");
    lab.file.last_call = true;
    lab.read();
    assert_eq!(lab.records(), ["at=0 \u{fffd}a", "at=6 b\u{fffd}"]);
    assert_eq!(lab.file.offset, 9);
}

#[test]
fn long_lines_count_encoded_bytes() {
    let text = wide("ab😀😀cd\nfits\n", false);
    let check = |long, appended: &[&[u8]], expected: &[&str], offset: usize| {
        let mut lab = lab(Charset::Utf16Le, 10, long);
        appended.iter().for_each(|t| lab.append(t));
        assert_eq!(lab.records(), expected, "{long:?} {appended:?}");
        assert_eq!((lab.made.long, lab.file.offset), (1, offset as u64), "{long:?}");
    };
    for parts in [vec![&text[..]], text.chunks(3).collect()] {
        check(Long::Pieces, &parts, &["at=0 ab😀", "at=8 😀cd", "at=18 fits"], text.len());
        check(Long::Truncate, &parts, &["at=0 ab😀", "at=18 fits"], text.len());
        check(Long::Skip, &parts, &["at=18 fits"], text.len());
    }
}

#[test]
fn a_file_written_anew_is_known_by_its_own_mark() {
    let mut lab = lab(Charset::Auto, 100, Long::Pieces);
    lab.append(wide("\u{feff}one\n", false));
    assert_eq!(lab.records(), ["at=2 one"]);
    lab.dir.write("f", wide("\u{feff}a\nb\nccc\n", true));
    lab.read();
    assert!(lab.truncated);
    assert_eq!(lab.records(), ["at=2 one", "at=2 a", "at=6 b", "at=10 ccc"]);
    // A writer that goes on at its old offset leaves a hole.
    let mut lab = self::lab(Charset::Utf16Be, 100, Long::Skip);
    lab.append([&[0; 50][..], &wide("new\n", true)].concat());
    assert_eq!(lab.records(), ["at=50 new"]);
    let file = std::fs::OpenOptions::new().write(true).open(&lab.file.name).unwrap();
    file.set_len(1 << 40).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &wide("far\n", true), (1 << 40) + 6).unwrap();
    lab.read();
    assert_eq!(lab.records().last().unwrap(), &format!("at={} far", (1u64 << 40) + 6));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_writes_of_any_bytes_give_what_decoding_the_whole_gives(
        writes in prop::collection::vec(prop::collection::vec(prop::sample::select(b"a\n\r\x00\x0a\xd8\xdc\x81\x30\xfe\xff".as_slice()), 0..30), 1..8),
        which in 0usize..4,
        step in 1usize..40,
    ) {
        let (charset, encoding) = [
            (Charset::Utf16Le, encoding_rs::UTF_16LE), (Charset::Utf16Be, encoding_rs::UTF_16BE),
            (Charset::Utf8, encoding_rs::UTF_8), (Charset::Page(1252), encoding_rs::WINDOWS_1252),
        ][which];
        let mut lab = lab(charset, 1000, Long::Skip);
        lab.reader.lines.offset_key = None;
        lab.reader.event_batch = step;
        // Something before what may look like a mark or a hole.
        lab.append(encoding_of("x", charset));
        writes.iter().for_each(|w| lab.append(w));
        let whole = [encoding_of("x", charset), writes.concat()].concat();
        let text = encoding.decode_without_bom_handling(&whole).0.into_owned();
        let mut want: Vec<&str> = text.split('\n').map(|l| l.strip_suffix('\r').unwrap_or(l)).collect();
        want.pop();
        prop_assert_eq!(lab.records(), want);
    }
}

fn encoding_of(text: &str, charset: Charset) -> Vec<u8> {
    match charset {
        Charset::Utf16Le => wide(text, false),
        Charset::Utf16Be => wide(text, true),
        _ => text.into(),
    }
}
