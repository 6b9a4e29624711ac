use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn line(number: usize, size: usize) -> Vec<u8> {
    let mut line = format!("{{\"id\":{number},\"x\":\"").into_bytes();
    line.resize(line.len() + size, b'a' + (number % 26) as u8);
    line.extend_from_slice(b"\"}\n");
    line
}

/// A file of frames, each with the lines of these sizes, and all lines.
fn file(frames: &[Vec<usize>]) -> (Vec<u8>, Vec<Vec<u8>>, Vec<usize>) {
    let (mut out, mut frame_lines, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    let mut number = 0;
    for sizes in frames {
        let mut lines = Vec::new();
        for size in sizes {
            lines.extend_from_slice(&line(number, *size));
            number += 1;
        }
        write(&lines, sizes.len() as u32, &mut out).unwrap();
        frame_lines.push(lines);
        ends.push(out.len());
    }
    (out, frame_lines, ends)
}

fn frames() -> impl Strategy<Value = Vec<Vec<usize>>> {
    vec(vec(0..400_usize, 1..20), 1..12)
}

#[test]
fn the_checksum_is_the_one_of_the_standard() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    assert_eq!(crc32(b""), 0);
}

#[test]
fn nothing_is_nothing() {
    assert_eq!(read(b""), Contents::default());
    assert_eq!(read(b"TGs1"), Contents { lost_bytes: 4, ..Contents::default() });
}

#[test]
fn a_frame_that_would_be_too_large_is_refused() {
    assert_eq!(write(&vec![b'x'; LINES_BYTES_MAX + 1], 1, &mut Vec::new()), Err(TooLarge));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read(frames in frames()) {
        let (file, lines, _) = file(&frames);
        let contents = read(&file);
        prop_assert_eq!(contents.lines, lines.concat());
        prop_assert_eq!(contents.records, frames.iter().map(Vec::len).sum::<usize>() as u64);
        prop_assert_eq!((contents.lost_records, contents.lost_bytes), (0, 0));
        prop_assert_eq!(count(&file), contents.records);
    }

    /// A process that is killed leaves a prefix: every frame before the torn one is there.
    #[test]
    fn a_torn_end_loses_the_last_frame_alone(frames in frames(), cut in any::<prop::sample::Index>()) {
        let (file, lines, ends) = file(&frames);
        let cut = cut.index(file.len() + 1);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let contents = read(&file[..cut]);
        prop_assert_eq!(contents.lines, lines[..whole].concat());
        prop_assert!(count(&file[..cut]) == contents.records);
    }

    /// What was appended behind a torn frame, after a restart or a full disk, is not lost with it.
    #[test]
    fn frames_behind_a_torn_one_are_found(before in frames(), after in frames(), cut in any::<prop::sample::Index>()) {
        let (first, _, ends) = file(&before);
        let (second, lines, _) = file(&after);
        let last = if ends.len() > 1 { ends[ends.len() - 2] } else { 0 };
        let cut = last + cut.index(first.len() - last);
        let mut both = first[..cut].to_vec();
        both.extend_from_slice(&second);
        let contents = read(&both);
        prop_assert!(contents.lines.ends_with(&lines.concat()));
        prop_assert!(contents.records >= after.iter().map(Vec::len).sum::<usize>() as u64);
    }

    /// A damaged bit costs the frame it is in, never another one, and never makes a line that nobody wrote.
    #[test]
    fn a_flipped_bit_costs_its_frame(frames in frames(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let (mut file, lines, ends) = file(&frames);
        let at = at.index(file.len());
        file[at] ^= 1 << bit;
        let hit = ends.iter().filter(|end| **end <= at).count();
        let rest: Vec<u8> =
            lines.iter().enumerate().filter(|(index, _)| *index != hit).flat_map(|(_, l)| l.clone()).collect();
        let contents = read(&file);
        prop_assert_eq!(contents.lines, rest);
        let all: usize = frames.iter().map(Vec::len).sum();
        prop_assert_eq!(contents.records, (all - frames[hit].len()) as u64);
    }

    #[test]
    fn noise_neither_hangs_nor_panics(noise in vec(any::<u8>(), 0..4096)) {
        let contents = read(&noise);
        prop_assert_eq!(contents.records, 0);
    }
}
