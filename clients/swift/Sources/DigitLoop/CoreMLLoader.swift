#if canImport(CoreML)
    @preconcurrency import CoreML
    import CoreVideo
    import DigitLoopCore
    import Foundation

    /// Compiles and loads models with Core ML, off the caller's actor, and keeps the compiled ones.
    public struct CoreMLLoader: LoopModelLoading {
        private let folder: URL
        private let units: MLComputeUnits

        /// `folder`: where compiled models are kept; nothing else may use it.
        public init(folder: URL, units: MLComputeUnits = .all) { (self.folder, self.units) = (folder, units) }

        public func load(_ file: URL) async throws -> any LoopModel {
            let compiled = place(file)
            if FileManager.default.fileExists(atPath: compiled.path), let model = try? await opened(compiled) { return model }
            // None yet, or one that an older system compiled.
            try compile(file, to: compiled)
            return try await opened(compiled)
        }

        public func tidy(keeping names: Set<String>) {
            let kept = Set(names.map { place(URL(fileURLWithPath: $0)).lastPathComponent })
            for name in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [] where !kept.contains(name) {
                try? FileManager.default.removeItem(at: folder.appendingPathComponent(name))
            }
        }

        private func opened(_ compiled: URL) async throws -> any LoopModel {
            let configuration = MLModelConfiguration()
            configuration.computeUnits = units
            return try await CoreMLModel(MLModel.load(contentsOf: compiled, configuration: configuration))
        }

        /// Not `async`, so that iOS 15's `compileModel` is the one that is called.
        private func compile(_ file: URL, to compiled: URL) throws {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            // The compiler wants the extension; a download has another.
            let named = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).mlmodel")
            try FileManager.default.copyItem(at: file, to: named)
            defer { try? FileManager.default.removeItem(at: named) }
            let built = try MLModel.compileModel(at: named)
            try? FileManager.default.removeItem(at: compiled)
            try FileManager.default.moveItem(at: built, to: compiled)
        }

        private func place(_ file: URL) -> URL {
            folder.appendingPathComponent(file.deletingPathExtension().lastPathComponent + ".mlmodelc")
        }
    }

    /// A classifier of ten digits: from a grey image of 28×28, or from 64 tiles.
    actor CoreMLModel: LoopModel {
        nonisolated let metadata: [String: String]
        private let model: MLModel
        private let input: String
        private let output: String
        private let takesTiles: Bool

        init(_ model: MLModel) throws {
            let description = model.modelDescription
            guard let input = description.inputDescriptionsByName.first, description.inputDescriptionsByName.count == 1,
                let output = description.predictedProbabilitiesName
            else { throw LoopError(.doesNotLoad, "expected one input, and probabilities; got another model") }
            metadata = description.metadata[.creatorDefinedKey] as? [String: String] ?? [:]
            (self.model, self.input, self.output) = (model, input.key, output)
            takesTiles = input.value.type == .multiArray
        }

        func probabilities(_ pixels: [UInt8]) async throws -> [Double] {
            let value = try takesTiles ? Self.tiles(pixels) : Self.image(pixels)
            let answer = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: [input: value]))
            let shares = answer.featureValue(for: output)?.dictionaryValue ?? [:]
            // Labels are text or numbers; a missing one is NaN, which no self-test passes.
            return (0..<10).map { (shares["\($0)"] ?? shares[Int64($0)])?.doubleValue ?? .nan }
        }

        private static func tiles(_ pixels: [UInt8]) throws -> MLFeatureValue {
            let tiles = try LoopPicture(width: 28, height: 28, grey: pixels).tiles()
            let array = try MLMultiArray(shape: [64], dataType: .double)
            for (i, tile) in tiles.enumerated() { array[i] = NSNumber(value: tile) }
            return MLFeatureValue(multiArray: array)
        }

        private static func image(_ pixels: [UInt8]) throws -> MLFeatureValue {
            var made: CVPixelBuffer?
            CVPixelBufferCreate(nil, 28, 28, kCVPixelFormatType_OneComponent8, nil, &made)
            guard let buffer = made, pixels.count == 28 * 28 else {
                throw LoopError(.badImage, "expected 784 pixels, got \(pixels.count)")
            }
            CVPixelBufferLockBaseAddress(buffer, [])
            defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
            guard let start = CVPixelBufferGetBaseAddress(buffer) else { throw LoopError(.badImage, "no memory for 784 pixels") }
            let rowBytes = CVPixelBufferGetBytesPerRow(buffer)
            for y in 0..<28 {
                start.advanced(by: y * rowBytes).copyMemory(from: Array(pixels[(y * 28)..<(y * 28 + 28)]), byteCount: 28)
            }
            return MLFeatureValue(pixelBuffer: buffer)
        }
    }
#endif
