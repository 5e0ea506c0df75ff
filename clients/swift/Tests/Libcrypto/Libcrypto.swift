import CLibcrypto
import DigitLoopCore
import Foundation

/// SHA-256 and Ed25519 of the system's libcrypto, where there is no CryptoKit.
public struct Libcrypto: LoopCryptography {
    public init() {}

    public func sha256(_ data: Data) -> Data {
        var digest = [UInt8](repeating: 0, count: 32)
        let bytes = [UInt8](data)
        precondition(EVP_Digest(bytes, bytes.count, &digest, nil, EVP_sha256(), nil) == 1)
        return Data(digest)
    }

    public func isValid(_ signature: Data, of message: Data, by publicKey: Data) -> Bool {
        guard let key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, [UInt8](publicKey), publicKey.count) else {
            return false
        }
        defer { EVP_PKEY_free(key) }
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        guard EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1 else { return false }
        return EVP_DigestVerify(context, [UInt8](signature), signature.count, [UInt8](message), message.count) == 1
    }
}
