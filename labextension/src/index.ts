import connection from './plugins/connection';
import execution from './plugins/execution';
import mime from './plugins/mime';
import notebook from './plugins/notebook';
import sidebar from './plugins/sidebar';

export default [connection, sidebar, execution, notebook, mime];
