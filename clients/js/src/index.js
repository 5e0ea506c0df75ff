// Digit Loop for web pages, React Native and Node: corrected digits up, judged models down. No dependency, no build step.

export { decide, drawLot, twoBest } from "./asking.js";
export { asked, confirmation, correction, drawing, unlabelled } from "./correction.js";
export { webCryptography } from "./cryptography.js";
export { picture } from "./drawing.js";
export { LoopError } from "./errors.js";
export { LoopOutbox } from "./outbox.js";
export { LoopPhone } from "./phone.js";
export { fromImageData, normalise, tiles } from "./picture.js";
export { png } from "./png.js";
export { StoredSecret } from "./secrets.js";
export { IndexedStore, LocalStore, MemoryStore } from "./stores.js";
export { bucket } from "./trust.js";
export { LoopServer, sourceName } from "./uploads.js";

/** @typedef {import("./asking.js").Decision} Decision */
/** @typedef {import("./asking.js").TwoBest} TwoBest */
/** @typedef {import("./considering.js").Considered} Considered */
/** @typedef {import("./correction.js").Correction} Correction */
/** @typedef {import("./cryptography.js").Cryptography} Cryptography */
/** @typedef {import("./documents.js").AskingPolicy} AskingPolicy */
/** @typedef {import("./errors.js").Rule} Rule */
/** @typedef {import("./outbox.js").OutboxOptions} OutboxOptions */
/** @typedef {import("./outbox.js").Uploaded} Uploaded */
/** @typedef {import("./phone.js").PhoneOptions} PhoneOptions */
/** @typedef {import("./phone.js").Synced} Synced */
/** @typedef {import("./picture.js").Picture} Picture */
/** @typedef {import("./secrets.js").Secrets} Secrets */
/** @typedef {import("./selftest.js").LoadModel} LoadModel */
/** @typedef {import("./selftest.js").Model} Model */
/** @typedef {import("./services.js").Services} Services */
/** @typedef {import("./state.js").Held} Held */
/** @typedef {import("./stores.js").Store} Store */
