import numpy as np
import pytest

from rethink_fr.files.crc32c import crc32c, masked_crc32c


def bit_by_bit(data):
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def test_the_published_check_values():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, appendix B.4
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(b"") == 0


@pytest.mark.parametrize("length", [1, 3, 127, 128, 255, 256, 257, 511, 512, 1000, 4097, 20011])
def test_lanes_give_what_a_loop_over_bits_gives(length):
    data = np.random.default_rng(length).bytes(length)
    assert crc32c(data) == bit_by_bit(data)


def test_leading_zeros_count():
    assert crc32c(bytes(1000) + b"x") != crc32c(bytes(999) + b"x")


def test_tensorflow_wrote_the_same_masked_checksum(tmp_path):
    import tensorflow as tf

    data = np.random.default_rng(0).bytes(3000)
    with tf.io.TFRecordWriter(str(tmp_path / "one")) as writer:
        writer.write(data)
    assert (tmp_path / "one").read_bytes()[-4:] == masked_crc32c(data).to_bytes(4, "little")
