#if canImport(CryptoKit)
    import CryptoKit
    import DigitLoopCore
    import Foundation

    /// SHA-256 and Ed25519 of CryptoKit.
    public struct CryptoKitCryptography: LoopCryptography {
        public init() {}

        public func sha256(_ data: Data) -> Data { Data(SHA256.hash(data: data)) }

        public func isValid(_ signature: Data, of message: Data, by publicKey: Data) -> Bool {
            guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey) else { return false }
            return key.isValidSignature(signature, for: message)
        }
    }
#endif
