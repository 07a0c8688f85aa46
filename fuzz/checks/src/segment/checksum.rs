//! Makes the checksums of a segment good, by what FORMAT.md says and nothing else.

const HEADER: usize = 48;
const BATCH_HEAD: usize = 36;
const FRAME_HEAD: usize = 32;

/// Puts the right checksum wherever one stands, as far as the bytes look like a segment.
pub(super) fn make_good(segment: &mut [u8]) {
    let Some(header) = segment.get_mut(..HEADER) else {
        return;
    };
    let sum = crc32c(0, &header[..44]);
    header[44..].copy_from_slice(&sum.to_le_bytes());
    let place = [&header[12..28], &header[28..36]].concat();
    let mut at = HEADER;
    while let Some(batch) = segment
        .get_mut(at..)
        .filter(|rest| rest.starts_with(b"btch"))
    {
        let Some((head, body)) = batch.split_at_mut_checked(BATCH_HEAD) else {
            return;
        };
        let length = number(head, 4).min(body.len());
        let sum = frames(&mut body[..length]);
        head[12..16].copy_from_slice(&sum.to_le_bytes());
        let mut sum = crc32c(0, &head[..32]);
        sum = crc32c(sum, &place);
        sum = crc32c(sum, &(at as u64).to_le_bytes());
        head[32..].copy_from_slice(&sum.to_le_bytes());
        at += BATCH_HEAD + length;
    }
}

/// The checksum of the frames' checksums.
fn frames(mut body: &mut [u8]) -> u32 {
    let mut all = 0;
    while body.len() >= FRAME_HEAD {
        let length = number(body, 0).saturating_add(FRAME_HEAD).min(body.len());
        let (frame, rest) = body.split_at_mut(length);
        let sum = crc32c(crc32c(0, &frame[..4]), &frame[8..]);
        frame[4..8].copy_from_slice(&sum.to_le_bytes());
        all = crc32c(all, &sum.to_le_bytes());
        body = rest;
    }
    all
}

fn number(bytes: &[u8], at: usize) -> usize {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}

/// CRC32C (Castagnoli) of what `sum` is of, followed by `bytes`.
fn crc32c(sum: u32, bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        let place = (sum ^ u32::from(*byte)) & 0xff;
        TABLE[place as usize] ^ (sum >> 8)
    };
    !bytes.iter().fold(!sum, step)
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut place = 0;
    while place < 256 {
        let mut sum = place as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 {
                0x82f6_3b78 ^ (sum >> 1)
            } else {
                sum >> 1
            };
            bit += 1;
        }
        table[place] = sum;
        place += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::super::written::Plan;
    use super::*;

    #[test]
    fn what_a_log_writes_has_good_checksums_already() {
        for plan in Plan::all() {
            let disk = plan.written().disk();
            for name in disk.file_names() {
                let bytes = disk.bytes(&name).unwrap();
                let mut good = bytes.clone();
                make_good(&mut good);
                assert_eq!(good, bytes, "{name} of {plan:?}");
            }
        }
    }
}
