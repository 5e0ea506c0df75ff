import Foundation

/// Grayscale PNG files, without compression: 28×28 pixels are 880 bytes, and the same pixels give the same bytes everywhere.
enum PNG {
    static func encoded(_ pixels: [UInt8], side: Int) -> Data {
        let rows = stride(from: 0, to: pixels.count, by: side).flatMap { [0] + pixels[$0..<($0 + side)] }
        let length = UInt16(rows.count)
        let stored = [0x78, 0x01, 0x01] + littleEndian(length) + littleEndian(~length) + rows + bigEndian(adler32(rows))
        let header = bigEndian(UInt32(side)) + bigEndian(UInt32(side)) + [8, 0, 0, 0, 0]
        return Data([0x89] + Array("PNG\r\n\u{1a}\n".utf8) + chunk("IHDR", header) + chunk("IDAT", stored) + chunk("IEND", []))
    }

    private static func chunk(_ name: String, _ body: [UInt8]) -> [UInt8] {
        let content = Array(name.utf8) + body
        return bigEndian(UInt32(body.count)) + content + bigEndian(crc32(content))
    }

    private static func crc32(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~0) { crc, byte in
            (0..<8).reduce(crc ^ UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
        }
    }

    private static func adler32(_ bytes: [UInt8]) -> UInt32 {
        let (a, b) = bytes.reduce((UInt32(1), UInt32(0))) { sums, byte in
            let a = (sums.0 + UInt32(byte)) % 65521
            return (a, (sums.1 + a) % 65521)
        }
        return b << 16 | a
    }

    private static func bigEndian(_ number: UInt32) -> [UInt8] { [24, 16, 8, 0].map { UInt8(number >> $0 & 255) } }
    private static func littleEndian(_ number: UInt16) -> [UInt8] { [UInt8(number & 255), UInt8(number >> 8)] }
}
