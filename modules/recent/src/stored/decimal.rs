//! Decimals as Decimal128, digit by digit: `1.50` stays `1.50`.
//!
//! Both are a whole number and a power of ten. Ours has 96 bits, so of the two layouts of
//! Decimal128's binary integer form only the one for coefficients below 2¹¹³ is met: a sign, 14 bits
//! of exponent, 113 bits of coefficient (IEEE 754-2008, 3.5.2).

use mongodb::bson::Decimal128;
use rust_decimal::Decimal;

/// What is added to the exponent.
const BIAS: u128 = 6176;
const COEFFICIENT_BITS: u32 = 113;
const SIGN: u128 = 1 << 127;
/// Both of these bits set mean the other layout, an infinity, or no number.
const OTHER_LAYOUT: u128 = 0b11 << 125;

pub(super) fn write(number: &Decimal) -> Decimal128 {
    let exponent = BIAS - u128::from(number.scale());
    let sign = if number.is_sign_negative() { SIGN } else { 0 };
    let bits = sign | exponent << COEFFICIENT_BITS | number.mantissa().unsigned_abs();
    Decimal128::from_bytes(bits.to_le_bytes())
}

/// None where it is a number that no field can have.
pub(super) fn read(number: Decimal128) -> Option<Decimal> {
    let bits = u128::from_le_bytes(number.bytes());
    if bits & OTHER_LAYOUT == OTHER_LAYOUT {
        return None;
    }
    let coefficient = bits & ((1 << COEFFICIENT_BITS) - 1);
    let exponent = (bits & !SIGN) >> COEFFICIENT_BITS;
    let scale = u32::try_from(BIAS.checked_sub(exponent)?).ok()?;
    let number =
        Decimal::try_from_i128_with_scale(i128::try_from(coefficient).ok()?, scale).ok()?;
    Some(match bits & SIGN {
        0 => number,
        _ => -number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_digits() {
        for text in [
            "0",
            "-0.5",
            "1.50",
            "100",
            "79228162514264337593543950335",
            "-79228162514264337593543950335",
            "0.0000000000000000000000000001",
        ] {
            let number: Decimal = text.parse().unwrap();
            let written = write(&number);
            assert_eq!(read(written).unwrap().to_string(), text);
            // The driver reads the same number.
            let theirs: Decimal = match written.to_string().split_once('E') {
                Some(_) => Decimal::from_scientific(&written.to_string()).unwrap(),
                None => written.to_string().parse().unwrap(),
            };
            assert_eq!(theirs, number);
        }
    }

    #[test]
    fn numbers_that_no_field_can_have_are_not_read() {
        for text in ["NaN", "Infinity", "-Infinity", "1E+40", "1E-40"] {
            assert_eq!(read(text.parse().unwrap()), None, "{text}");
        }
    }
}
