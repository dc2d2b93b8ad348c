/** Read the part of ONNX files that exports use: nodes with attributes, weights, and names. */

import { ELEMENTS, Tensor } from "./tensor.js";

/** @typedef {number | string | number[] | Tensor} Attribute */

/**
 * @typedef {Object} GraphNode
 * @property {string} operator
 * @property {string[]} inputs names; an empty one is an input left out
 * @property {string[]} outputs
 * @property {Record<string, Attribute>} attributes
 */

/**
 * @typedef {Object} Network
 * @property {GraphNode[]} nodes in an order in which they can be computed
 * @property {Map<string, Tensor>} weights
 * @property {string} input the name of the one input
 * @property {number[]} shape of the input; 0 where the file leaves it open, as the batch
 * @property {number} type the element type of the input
 * @property {string[]} outputs
 */

/** Reads the fields of one message of Protocol Buffers, one after another. */
class Message {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
    this.field = 0;
    this.wire = 0;
  }

  /** Go to the next field; false at the end. */
  next() {
    if (this.at >= this.bytes.length) {
      return false;
    }
    const key = this.integer();
    this.field = Math.floor(key / 8);
    this.wire = key % 8;
    return true;
  }

  /** The whole number in the field: a varint whose 64 bits are a signed number. */
  integer() {
    let low = 0;
    let high = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) {
        throw new Error("The ONNX file ends too early.");
      }
      if (shift < 28) {
        low += (byte & 127) * 2 ** shift;
      } else {
        high += (byte & 127) * 2 ** (shift - 28);
      }
      if (byte < 128) {
        break;
      }
    }
    // From 2^63 on the number is negative; in two parts every digit of a small one is kept.
    return low + (high >= 2 ** 35 ? high - 2 ** 36 : high) * 2 ** 28;
  }

  float() {
    const bytes = this.take(4);
    return new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true);
  }

  /** The bytes of a string, of packed numbers or of a message inside this one. */
  content() {
    return this.take(this.integer());
  }

  text() {
    return new TextDecoder().decode(this.content());
  }

  /** The whole numbers of a repeated field, packed or not, added to a list. */
  integers(/** @type {number[]} */ list) {
    if (this.wire !== 2) {
      list.push(this.integer());
      return;
    }
    const inside = new Message(this.content());
    while (inside.at < inside.bytes.length) {
      list.push(inside.integer());
    }
  }

  skip() {
    if (this.wire === 0) {
      this.integer();
    } else {
      this.take(this.wire === 1 ? 8 : this.wire === 5 ? 4 : this.integer());
    }
  }

  /** @param {number} count */
  take(count) {
    this.at += count;
    if (!(this.at <= this.bytes.length)) {
      throw new Error("The ONNX file ends too early.");
    }
    return this.bytes.subarray(this.at - count, this.at);
  }
}

/**
 * Read a network from the bytes of an ONNX file.
 *
 * @param {Uint8Array} bytes
 * @returns {Network}
 */
export function readNetwork(bytes) {
  const model = new Message(bytes);
  while (model.next()) {
    if (model.field === 7) {
      return readGraph(model.content());
    }
    model.skip();
  }
  throw new Error("This is not an ONNX file with a network.");
}

/** @param {Uint8Array} bytes */
function readGraph(bytes) {
  const message = new Message(bytes);
  /** @type {Network} */
  const network = { nodes: [], weights: new Map(), input: "", shape: [], type: 0, outputs: [] };
  while (message.next()) {
    if (message.field === 1) {
      network.nodes.push(readNode(message.content()));
    } else if (message.field === 5) {
      const { name, tensor } = readTensor(message.content());
      network.weights.set(name, tensor);
    } else if (message.field === 11) {
      const { name, shape, type } = readValue(message.content());
      network.input = network.input || name;
      network.shape = network.shape.length ? network.shape : shape;
      network.type = network.type || type;
    } else if (message.field === 12) {
      network.outputs.push(readValue(message.content()).name);
    } else {
      message.skip();
    }
  }
  return network;
}

/**
 * @param {Uint8Array} bytes
 * @returns {GraphNode}
 */
function readNode(bytes) {
  const message = new Message(bytes);
  /** @type {GraphNode} */
  const node = { operator: "", inputs: [], outputs: [], attributes: {} };
  let domain = "";
  while (message.next()) {
    if (message.field === 1) {
      node.inputs.push(message.text());
    } else if (message.field === 2) {
      node.outputs.push(message.text());
    } else if (message.field === 4) {
      node.operator = message.text();
    } else if (message.field === 5) {
      const { name, value } = readAttribute(message.content());
      node.attributes[name] = value;
    } else if (message.field === 7) {
      domain = message.text();
    } else {
      message.skip();
    }
  }
  // Operators of other domains share names with those of ONNX, but need not mean the same.
  node.operator = domain && domain !== "ai.onnx" ? `${domain}.${node.operator}` : node.operator;
  return node;
}

/**
 * @param {Uint8Array} bytes
 * @returns {{name: string, value: Attribute}}
 */
function readAttribute(bytes) {
  const message = new Message(bytes);
  let name = "";
  /** @type {Attribute} */
  let value = 0;
  /** @type {number[]} */
  const list = [];
  let isList = false;
  while (message.next()) {
    if (message.field === 1) {
      name = message.text();
    } else if (message.field === 2) {
      value = message.float();
    } else if (message.field === 3) {
      value = message.integer();
    } else if (message.field === 4) {
      value = message.text();
    } else if (message.field === 5) {
      value = readTensor(message.content()).tensor;
    } else if (message.field === 8) {
      message.integers(list);
      isList = true;
    } else if (message.field === 20) {
      isList = message.integer() === 7;
    } else {
      message.skip();
    }
  }
  return { name, value: isList ? list : value };
}

/** @param {Uint8Array} bytes */
function readTensor(bytes) {
  const message = new Message(bytes);
  /** @type {number[]} */
  const shape = [];
  /** @type {number[]} */
  const numbers = [];
  let name = "";
  let type = 0;
  /** @type {Uint8Array} */
  let raw = new Uint8Array(0);
  while (message.next()) {
    if (message.field === 1) {
      message.integers(shape);
    } else if (message.field === 2) {
      type = message.integer();
    } else if (message.field === 4 && message.wire === 2) {
      raw = message.content();
    } else if (message.field === 5 || message.field === 7) {
      message.integers(numbers);
    } else if (message.field === 8) {
      name = message.text();
    } else if (message.field === 9) {
      raw = message.content();
    } else {
      message.skip();
    }
  }
  const data = raw.length ? numbersOf(raw, type) : arrayOf(numbers, type);
  return { name, tensor: Tensor.constant(shape, type, data) };
}

/**
 * @param {Uint8Array} raw little-endian, as every browser's machine
 * @param {number} type
 */
function numbersOf(raw, type) {
  if (!(type in ELEMENTS)) {
    throw new Error(`The ONNX file has numbers of the type ${type}, which this page cannot read.`);
  }
  const bytes = raw.slice().buffer; // aligned, which the file is not
  if (type === 7) {
    return Float64Array.from(new BigInt64Array(bytes), Number);
  }
  return new ELEMENTS[type](bytes);
}

/**
 * @param {number[]} numbers
 * @param {number} type
 */
function arrayOf(numbers, type) {
  return numbersOf(new Uint8Array(0), type).constructor === Float64Array
    ? Float64Array.from(numbers)
    : new ELEMENTS[type](numbers);
}

/** @param {Uint8Array} bytes of a ValueInfoProto */
function readValue(bytes) {
  const message = new Message(bytes);
  let name = "";
  let type = 0;
  /** @type {number[]} */
  let shape = [];
  while (message.next()) {
    if (message.field === 1) {
      name = message.text();
    } else if (message.field === 2) {
      const found = within(message.content(), 1);
      const tensor = new Message(found);
      while (tensor.next()) {
        if (tensor.field === 1) {
          type = tensor.integer();
        } else if (tensor.field === 2) {
          shape = readShape(tensor.content());
        } else {
          tensor.skip();
        }
      }
    } else {
      message.skip();
    }
  }
  return { name, type, shape };
}

/**
 * @param {Uint8Array} bytes
 * @param {number} field
 */
function within(bytes, field) {
  const message = new Message(bytes);
  while (message.next()) {
    if (message.field === field) {
      return message.content();
    }
    message.skip();
  }
  return new Uint8Array(0);
}

/** @param {Uint8Array} bytes of a TensorShapeProto */
function readShape(bytes) {
  const message = new Message(bytes);
  /** @type {number[]} */
  const shape = [];
  while (message.next()) {
    const axis = new Message(message.content());
    let size = 0;
    while (axis.next()) {
      if (axis.field === 1) {
        size = axis.integer();
      } else {
        axis.skip();
      }
    }
    shape.push(size);
  }
  return shape;
}
