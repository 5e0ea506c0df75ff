#if canImport(Security)
    import DigitLoopCore
    import Foundation
    import Security

    /// This install's secret in the keychain: 32 random bytes, never synchronised to another device.
    ///
    /// Its source's name on the server is a hash of it, so nobody else can add to it or erase it. Lost with the keychain: then
    /// the install is a new source.
    public struct KeychainSecret: LoopSecretKeeping {
        private let service: String

        public init(service: String = "digit-loop") { self.service = service }

        public func secret() throws -> String {
            if let found = try read() { return found }
            let status = SecItemAdd(query([kSecValueData as String: Data(try made().utf8)]), nil)
            // Another part of the app may have been faster: then its secret counts.
            guard status == errSecSuccess || status == errSecDuplicateItem, let found = try read() else {
                throw LoopError(.noSecret, "the keychain does not keep the secret (status \(status)); try later")
            }
            return found
        }

        public func forget() throws {
            let status = SecItemDelete(query([:]))
            guard status == errSecSuccess || status == errSecItemNotFound else {
                throw LoopError(.noSecret, "the keychain does not drop the secret (status \(status)); try later")
            }
        }

        /// Nil only if there is none. A keychain that cannot be read yet must not lead to a second secret.
        private func read() throws -> String? {
            var found: CFTypeRef?
            let status = SecItemCopyMatching(query([kSecReturnData as String: true]), &found)
            if status == errSecItemNotFound { return nil }
            guard status == errSecSuccess, let data = found as? Data else {
                throw LoopError(.noSecret, "the keychain does not return the secret (status \(status)); try later")
            }
            return String(decoding: data, as: UTF8.self)
        }

        private func query(_ more: [String: Any]) -> CFDictionary {
            var all: [String: Any] = [
                kSecClass as String: kSecClassGenericPassword,
                kSecAttrService as String: service,
                kSecAttrAccount as String: "source",
            ]
            if more[kSecValueData as String] != nil {
                all[kSecAttrAccessible as String] = kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly
            }
            return NSDictionary(dictionary: all.merging(more) { $1 }) as CFDictionary
        }

        private func made() throws -> String {
            var bytes = [UInt8](repeating: 0, count: 32)
            guard SecRandomCopyBytes(kSecRandomDefault, bytes.count, &bytes) == errSecSuccess else {
                throw LoopError(.noSecret, "the system gives no random bytes; try later")
            }
            return Data(bytes).base64EncodedString().replacingOccurrences(of: "+", with: "-")
                .replacingOccurrences(of: "/", with: "_").replacingOccurrences(of: "=", with: "")
        }
    }
#endif
