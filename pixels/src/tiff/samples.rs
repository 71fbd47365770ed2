//! Samples of any width as eight bits.

use super::directory::Order;

/// Adds up differences from the left neighbour, in place. `together` samples belong to a pixel.
pub(super) fn add_up(row: &mut [u8], bits: usize, together: usize, order: Order) {
    if bits == 8 {
        for index in together..row.len() {
            row[index] = row[index].wrapping_add(row[index - together]);
        }
        return;
    }
    let (from, to) = match order {
        Order::Little => (u16::from_le_bytes as fn([u8; 2]) -> u16, u16::to_le_bytes as fn(u16) -> [u8; 2]),
        Order::Big => (u16::from_be_bytes as fn([u8; 2]) -> u16, u16::to_be_bytes as fn(u16) -> [u8; 2]),
    };
    let (samples, _) = row.as_chunks_mut::<2>();
    for index in together..samples.len() {
        samples[index] = to(from(samples[index]).wrapping_add(from(samples[index - together])));
    }
}

/// `count` samples of a row as eight bits: of more the higher ones, as Pillow and `OpenCV` take them; fewer are spread from
/// black to white, or are left as they are where they are numbers of colours.
pub(super) fn eight_bits(row: &[u8], bits: usize, count: usize, order: Order, numbers: bool) -> Vec<u8> {
    match bits {
        8 => row[..count].to_vec(),
        16 => {
            let high = usize::from(order == Order::Little);
            row.chunks_exact(2).take(count).map(|sample| sample[high]).collect()
        }
        _ => (0..count).map(|index| narrowed(packed(row, index * bits, bits), bits, numbers)).collect(),
    }
}

/// A sample of less than 16 bits that begins at a bit, the highest first.
fn packed(row: &[u8], at: usize, bits: usize) -> u32 {
    let byte = |index: usize| u32::from(row.get(index).copied().unwrap_or(0));
    let first = at / 8;
    let three = byte(first) << 16 | byte(first + 1) << 8 | byte(first + 2);
    (three >> (24 - at % 8 - bits)) & ((1 << bits) - 1)
}

fn narrowed(value: u32, bits: usize, number: bool) -> u8 {
    let value = match bits {
        9.. => value >> (bits - 8),
        _ if number => value,
        _ => value * 255 / ((1 << bits) - 1),
    };
    value.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_cross_bytes_are_read_and_spread_from_black_to_white() {
        let twelve = [0xab, 0xcd, 0xef, 0x01, 0x23, 0x45];
        assert_eq!(eight_bits(&twelve, 12, 4, Order::Little, false), [0xab, 0xde, 0x01, 0x34]);
        assert_eq!(eight_bits(&[0b1010_0000], 1, 3, Order::Big, false), [255, 0, 255]);
        assert_eq!(eight_bits(&[0b1101_1000], 2, 3, Order::Big, false), [255, 85, 170]);
        assert_eq!(eight_bits(&[0x3f], 4, 2, Order::Big, true), [3, 15]);
        assert_eq!(eight_bits(&[1, 2, 3, 4], 16, 2, Order::Big, false), [1, 3]);
        assert_eq!(eight_bits(&[1, 2, 3, 4], 16, 2, Order::Little, false), [2, 4]);
    }
}
