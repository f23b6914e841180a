export { type MongoOptions, type MongoStores, openMongo } from "./open-mongo.ts";
